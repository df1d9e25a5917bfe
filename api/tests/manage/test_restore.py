"""Archives of anybody's making: nothing comes in that an upload could not have brought, and a refusal leaves nothing."""

import copy
import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
import unicodedata
from io import BytesIO
from pathlib import Path

import pytest

from kt_images.database import orphans
from kt_images.errors import UnavailableError
from kt_images.fields import MAX_ID
from kt_images.files.decoders import Decoders
from kt_images.files.disk import Disk
from kt_images.manage import restore
from kt_images.manage.archive import ArchiveError
from kt_images.manage.restoration import Restoration
from kt_images.pairing import pair
from pictures import drawn
from sql import ask

RELEASES = Path(__file__).parents[1] / "releases"
PNG, GIF = drawn("PNG"), drawn("GIF")
MANIFEST = {"format": "kt-images", "version": 1}


def key(image_id, number=0, extension="png"):
    return f"{image_id % 1000:03}/{image_id}-{number:032x}.{extension}"


def attachment(image_id, content=PNG, number=0, **changes):
    return {
        "image_id": image_id, "filename": f"{number}.png", "object_key": key(image_id, number), "content_type": "image/png",
        "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "width": 40, "height": 30,
        "created_at": "2024-02-03T04:05:06.789Z", **changes,
    }  # fmt: skip


def member(name, content, **header):
    """A member's header and content, padded; `header` replaces what tarfile would write."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in header.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def lines(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


class Archive:
    """What a backup of two images with a file each writes, to be changed before it is written."""

    def __init__(self):
        self.images = [
            {"image_id": 3, "filename": "a.jpg", "tags": ["sea"]},
            {"image_id": 5, "filename": "b", "tags": []},
        ]
        self.objects = [(key(3), PNG), (key(5), PNG)]
        self.attachments = [attachment(3), attachment(5)]
        self.last_image_id = 7
        self.before = self.between = self.after = b""  # the objects; the totals

    def totals(self):
        sizes = [row["size"] for row in self.attachments]
        return {
            "images": len(self.images),
            "attachments": len(sizes),
            "bytes": sum(sizes),
            "last_image_id": self.last_image_id,
        }

    def written(self):
        return b"".join((
            member("manifest.ndjson", lines(MANIFEST)),
            member("images/00000001.ndjson", lines(*self.images)),
            self.before,
            *(member(f"objects/{name}", content) for name, content in self.objects),
            self.between,
            member("attachments/00000002.ndjson", lines(*self.attachments)),
            member("totals.ndjson", lines(self.totals())),
            self.after,
            bytes(1024),
        ))  # fmt: skip


@pytest.fixture
def archive():
    return Archive()


@pytest.fixture
async def store(settings, pool):
    made = Disk(settings.uploads_dir)
    await made.open()
    await pair(pool, made)
    return made


@pytest.fixture
def take(pool, store, settings):
    """Restore bytes; return the totals."""

    async def run(content, trust=False, **changes):
        changed = settings.model_copy(update=changes)
        async with Decoders(changed.max_pixels, changed.decode_memory) as decoders:
            restoration = Restoration(pool, store, None if trust else decoders, changed)
            file = BytesIO(content) if isinstance(content, bytes) else content
            return await restore._restore(pool, store, restoration, file)

    return run


def state(settings):
    """The rows, and every file below the store."""
    tables = ["images", "attachments", "orphans", "store"]
    rows = {table: ask(settings.postgres_dsn, f"select * from {table} order by 1, 2") for table in tables}
    return rows, {path: path.read_bytes() for path in settings.uploads_dir.rglob("*") if path.is_file()}


async def refused(take, settings, content, sentence="", **options):
    """See that the archive is refused in one sentence, and that nothing of it stays; return the sentence."""
    before = state(settings)
    with pytest.raises(ArchiveError) as refusal:
        await take(content, **options)
    assert "\n" not in str(refusal.value)
    assert sentence in str(refusal.value)
    assert state(settings) == before
    return str(refusal.value)


async def test_what_a_backup_writes_is_restored(archive, take, settings, client):
    assert await take(archive.written()) == {"images": 2, "attachments": 2, "bytes": 2 * len(PNG)}
    for image in archive.images:
        assert await (await client.get(f"/images/{image['image_id']}")).json() == image
        assert await (await client.get(f"/media/{image['image_id']}/0.png")).read() == PNG
    assert (await client.post("/images", json={"filename": "new"})).headers["Location"] == "/images/8"
    assert state(settings)[0]["orphans"] == []


@pytest.mark.parametrize("release", sorted(path.name for path in RELEASES.iterdir() if path.is_dir()))
async def test_the_backup_of_an_earlier_release_is_restored(take, release, client):
    with (RELEASES / release / "backup.tar").open("rb") as file:
        assert await take(file) == {"images": 3, "attachments": 3, "bytes": 835}
    assert (await (await client.get("/images/1")).json())["tags"] == ["sea", "Canon, 5D", "üüü"]
    for one in await (await client.get("/images/2/attachments")).json():
        assert len(await (await client.get(one["url"])).read()) == one["size"]
    assert (await client.post("/images", json={"filename": "new"})).headers["Location"] == "/images/5"


async def test_names_and_tags_are_normalised_as_those_of_new_images(archive, take, client):
    archive.images[0] |= {"filename": "u\u0308", "tags": [" u\u0308 ", "ü", "sea"]}
    await take(archive.written())
    found = await (await client.get("/images/3")).json()
    assert found == {"image_id": 3, "filename": "ü", "tags": ["ü", "sea"]}
    assert unicodedata.is_normalized("NFC", "".join(found["tags"]))


IMAGE_ROWS = {
    "an id of zero": {"image_id": 0},
    "a negative id": {"image_id": -3},
    "the highest id": {"image_id": MAX_ID},
    "an id above all": {"image_id": 10**19},
    "an id of 5,000 digits": {"image_id": 10**4000},
    "an id as text": {"image_id": "3"},
    "an id as a fraction": {"image_id": 3.0},
    "an id that is true": {"image_id": True},
    "an id twice": {"image_id": 5},
    "a name that leads out": {"filename": "../a"},
    "a name of dots": {"filename": ".."},
    "a name with NUL": {"filename": "a\0"},
    "a name with an escape sequence": {"filename": "\x1b[2J"},
    "a name with half a surrogate": {"filename": "\ud800"},
    "a name of 256 bytes": {"filename": "x" * 256},
    "an empty name": {"filename": ""},
    "a name that is none": {"filename": None},
    "65 tags": {"tags": [f"{n}" for n in range(65)]},
    "a million tags": {"tags": ["a"] * 1_000_000},
    "a tag of 101 characters": {"tags": ["x" * 101]},
    "a blank tag": {"tags": [" "]},
    "a tag with a line break": {"tags": ["a\nb"]},
    "tags that are no list": {"tags": "sea"},
    "tags in tags": {"tags": [["sea"]]},
    "a key too many": {"document": "{}"},
    "a row of 200 KB": {"filename": "x" * 200_000},
}


@pytest.mark.parametrize("case", IMAGE_ROWS)
async def test_an_image_that_cannot_be_created_is_refused(archive, take, settings, case):
    archive.images[0] |= IMAGE_ROWS[case]
    archive.last_image_id = max(7, *(row["image_id"] for row in archive.images if type(row["image_id"]) is int))
    await refused(take, settings, archive.written())


ATTACHMENT_ROWS = {
    "an image that is not there": {"image_id": 4, "object_key": key(4)},
    "an image of another's object": {"image_id": 4},
    "a bad name": {"filename": "a/b"},
    "an object that is not there": {"object_key": key(3, 9)},
    "an object outside": {"object_key": "../../etc/passwd"},
    "an object with an escape sequence": {"object_key": "\x1b[2J"},
    "another size": {"size": len(PNG) + 1},
    "a negative size": {"size": -1},
    "another hash": {"sha256": "0" * 64},
    "a hash in upper case": {"sha256": hashlib.sha256(PNG).hexdigest().upper()},
    "a type that is not stored": {"content_type": "text/html"},
    "another type": {"content_type": "image/gif"},
    "another width": {"width": 41},
    "a negative height": {"height": -30},
    "a height beyond an integer": {"height": 2**31},
    "no time": {"created_at": None},
    "a time without a zone": {"created_at": "2024-02-03T04:05:06"},
    "a time before the calendar": {"created_at": "0001-01-01T00:00:00+14:00"},
    "a time after the calendar": {"created_at": "9999-12-31T23:59:59-14:00"},
    "a key too many": {"x": 1},
}  # fmt: skip


@pytest.mark.parametrize("case", ATTACHMENT_ROWS)
async def test_a_row_that_is_not_that_of_its_file_is_refused(archive, take, settings, case):
    archive.attachments[0] |= ATTACHMENT_ROWS[case]
    await refused(take, settings, archive.written())


def renamed(name):
    """Both the first object and its row have another key."""

    def change(archive):
        archive.objects[0] = (name, PNG)
        archive.attachments[0]["object_key"] = name

    return change


def replaced(content, extension="png", content_type="image/png"):
    """The first object has other bytes, and its row says so."""

    def change(archive):
        name = key(3, 0, extension)
        archive.objects[0] = (name, content)
        archive.attachments[0] |= attachment(3, content, object_key=name, content_type=content_type)

    return change


def with_totals(**changes):
    return lambda archive: setattr(archive, "totals", lambda: Archive.totals(archive) | changes)


def pax(**records):
    """An extended header, and the member that it is about."""
    header = tarfile.TarInfo._create_pax_generic_header(records, tarfile.XHDTYPE, "utf-8")
    return header + member(f"objects/{key(4)}", PNG)


CHANGES = {
    "a file twice": lambda a: a.objects.insert(0, a.objects[0]),
    "a row twice": lambda a: a.attachments.insert(0, a.attachments[0]),
    "a name twice": lambda a: (a.objects.append((key(5, 1), PNG)), a.attachments.append(attachment(5, number=1, filename="0.png"))),
    "a file without a row": lambda a: a.objects.append((key(5, 1), PNG)),
    "a row without a file": lambda a: a.objects.pop(),
    "rows in disorder": lambda a: a.attachments.reverse(),
    "images in disorder": lambda a: a.images.reverse(),
    "a file after all rows": lambda a: setattr(a, "written", lambda: Archive.written(a).replace(
        member("totals.ndjson", lines(a.totals())), member(f"objects/{key(5, 1)}", PNG) + member("totals.ndjson", lines(a.totals())))),
    "something after the totals": lambda a: setattr(a, "after", member("images/00000009.ndjson", lines({"image_id": 9, "filename": "a", "tags": []}))),
    "totals twice": lambda a: setattr(a, "after", member("totals.ndjson", lines(a.totals()))),
    "a member of another name": lambda a: setattr(a, "before", member("etc/passwd", b"x")),
    "a key with the wrong folder": renamed("004/3-" + "0" * 32 + ".png"),
    "a thumbnail's key": renamed(key(3) + ".w160.webp"),
    "a key that leads out": renamed("../../../tmp/x.png"),
    "an absolute key": renamed("/tmp/x.png"),
    "an empty key": renamed(""),
    "an empty file": replaced(b""),
    "a file that is no picture": replaced(b"<html>" * 100),
    "half a picture": replaced(PNG[: len(PNG) // 2]),
    "a picture of another type": replaced(GIF),
    "the last id below the highest": lambda a: setattr(a, "last_image_id", 4),
    "a negative last id": lambda a: setattr(a, "last_image_id", -1),
    "the last id of all": lambda a: setattr(a, "last_image_id", MAX_ID),
    "no last id": lambda a: setattr(a, "totals", lambda: {"images": 2, "attachments": 2, "bytes": 2 * len(PNG)}),
    "fewer images than declared": with_totals(images=3),
    "more images than declared": with_totals(images=1),
    "more bytes than declared": with_totals(bytes=1),
    "totals as text": with_totals(images="2"),
    "a symbolic link": lambda a: setattr(a, "before", member(f"objects/{key(4)}", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a hard link": lambda a: setattr(a, "before", member(f"objects/{key(4)}", b"", type=tarfile.LNKTYPE, linkname=f"objects/{key(3)}")),
    "a FIFO": lambda a: setattr(a, "before", member(f"objects/{key(4)}", b"", type=tarfile.FIFOTYPE)),
    "a device": lambda a: setattr(a, "before", member(f"objects/{key(4)}", b"", type=tarfile.CHRTYPE)),
    "a folder": lambda a: setattr(a, "before", member("objects/", b"", type=tarfile.DIRTYPE)),
    "an unknown kind": lambda a: setattr(a, "before", member(f"objects/{key(4)}", b"", type=b"Z")),
    "a sparse file of GNU's": lambda a: setattr(a, "before", member(f"objects/{key(4)}", b"", type=tarfile.GNUTYPE_SPARSE)),
    "a sparse file of PAX's": lambda a: setattr(a, "before", pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**18)})),
    "a PAX header with a name": lambda a: setattr(a, "before", pax(path="/etc/passwd")),
    "a PAX header for all": lambda a: setattr(a, "before", member("x", b"18 path=../../x\n\n\n", type=tarfile.XGLTYPE)),
    "a PAX header of 4 EB": lambda a: setattr(a, "before", huge(tarfile.XHDTYPE)),
    "a size of 4 EB": lambda a: setattr(a, "before", huge(tarfile.REGTYPE)),
    "rows of 4 EB": lambda a: setattr(a, "before", huge(tarfile.REGTYPE, "images/00000002.ndjson")),
    "a long name of 4 EB": lambda a: setattr(a, "before", huge(tarfile.GNUTYPE_LONGNAME)),
    "a PAX size of 4 EB": lambda a: setattr(a, "before", pax(size=str(2**62))),
    "a PAX size below zero": lambda a: setattr(a, "before", pax(size="-1")),
    "a header of rubbish": lambda a: setattr(a, "before", b"\xff" * 512),
    "a header of zeros": lambda a: setattr(a, "before", bytes(512)),
}  # fmt: skip


def huge(kind, name=None):
    """A header that declares 2^62 bytes, as GNU tar writes such numbers."""
    info = tarfile.TarInfo(name or f"objects/{key(4)}")
    info.type, info.size = kind, 2**62
    return info.tobuf(tarfile.GNU_FORMAT)[:512]


@pytest.mark.parametrize("case", CHANGES)
async def test_an_archive_that_no_backup_writes_is_refused(archive, take, settings, case):
    CHANGES[case](archive)
    await refused(take, settings, archive.written())


async def test_an_archive_that_is_cut_off_anywhere_is_refused(archive, take, settings):
    written = archive.written()
    for end in range(0, len(written) - 1024, 200):
        await refused(take, settings, written[:end])


@pytest.mark.parametrize("member_of", ["images/00000001", "attachments/00000002", "totals"])
@pytest.mark.parametrize(
    "text", [b"null\n", b"[1]\n", b"{}\n", b"\n", b"\xff\n", b"[" * 100_000 + b"\n", b'{"image_id":' + b"9" * 5000 + b"}\n"]
)  # fmt: skip
async def test_rows_that_are_none_are_refused(archive, take, settings, member_of, text):
    written = archive.written()
    place = written.index(f"{member_of}.ndjson".encode())
    size = int(written[place + 124 : place + 135], 8)
    rest = written[place + 512 + size + -size % 512 :]
    await refused(take, settings, written[:place] + member(f"{member_of}.ndjson", text) + rest)


async def test_rows_without_anything_in_them_are_no_traceback(archive, take):
    archive.before = member("images/00000009.ndjson", b"") + member("attachments/00000009.ndjson", b"")
    assert (await take(archive.written()))["images"] == 2


async def test_a_compressed_archive_is_refused_before_it_is_unpacked(take, settings):
    await refused(take, settings, gzip.compress(bytes(10**8)), "not a backup")


async def test_the_limits_of_uploads_apply_unless_the_archive_is_trusted(archive, take, settings):
    """A backup must not be lost because a limit, or a decoder, has become stricter since."""
    archive.objects.append((key(5, 1), PNG))
    archive.attachments.append(attachment(5, number=1))
    written = archive.written()
    for limits in ({"max_upload_size": len(PNG) - 1}, {"max_attachments": 0, "max_uploads": 1}, {"max_pixels": 1}):
        sentence = await refused(take, settings.model_copy(update=limits), written, "--trust", **limits)
        assert key(5, 1) in sentence or key(3) in sentence
    tight = {"max_upload_size": 1, "max_attachments": 1, "max_uploads": 1}
    assert (await take(written, trust=True, **tight))["attachments"] == 3


async def test_an_archive_that_is_trusted_is_held_to_everything_else(archive, take, settings):
    for changes in ({"sha256": "0" * 64}, {"size": 7}, {"content_type": "text/html"}, {"width": 0}):
        damaged = copy.deepcopy(archive)
        damaged.attachments[0] |= changes
        await refused(take, settings, damaged.written(), trust=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"filename": ".."}, "'filename': A filename is 1 to 255 bytes"),
        ({"tags": ["x" * 101]}, "'tags': A tag is 1 to 100 characters"),
        ({"\x1b[2J": 1}, r"'\x1b[2J': Extra"),
    ],
)
async def test_a_refusal_says_which_field_it_is_about(archive, take, settings, change, sentence):
    archive.images[0] |= change
    await refused(take, settings, archive.written(), sentence)


async def test_a_file_that_was_damaged_on_its_way_is_not_said_to_be_one_that_can_be_trusted(archive, take, settings):
    archive.objects[0] = (key(3), PNG[:-20] + b"?" * 20)
    sentence = await refused(take, settings, archive.written(), "does not match its row")
    assert "--trust" not in sentence


async def test_no_object_of_the_store_is_replaced_or_removed(archive, take, settings, client):
    """The database was lost, its store was not: an archive that fails must not harm what is left there."""
    there = settings.uploads_dir / "objects" / key(3)
    there.parent.mkdir(parents=True)
    there.write_bytes(b"precious")
    archive.last_image_id = -1
    await refused(take, settings, archive.written())
    archive.last_image_id = 7
    await take(archive.written())
    assert there.read_bytes() == b"precious"
    assert await (await client.get("/media/3/0.png")).read() == PNG


async def test_what_cannot_be_removed_is_left_to_the_collector(archive, take, settings, monkeypatch):
    async def failing(*_):
        raise UnavailableError

    monkeypatch.setattr(Disk, "remove", failing)
    archive.last_image_id = -1
    with pytest.raises(ArchiveError):
        await take(archive.written())
    left = {f"{path.parent.name}/{path.name}" for path in settings.uploads_dir.glob("objects/*/*")}
    assert len(left) == 2
    assert {row[0] for row in state(settings)[0]["orphans"]} == left


async def test_only_its_own_batch_is_taken_back(archive, take, settings, pool):
    await orphans.expect(pool, [key(1)])
    await refused(take, settings, archive.written()[:-2048])
    assert [row[0] for row in state(settings)[0]["orphans"]] == [key(1)]


ENDLESS = r"""
import re, sys
from pathlib import Path
from kt_images.manage import restore
sys.argv[1:] = ["-"]
try:
    restore.main()
finally:
    print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1], flush=True)
"""


def endless(kind):
    """Pieces of an archive that does not end by itself."""
    yield member("manifest.ndjson", lines(MANIFEST))
    if kind == "row":
        yield huge(tarfile.REGTYPE, "images/00000001.ndjson") + b'{"image_id":1,"filename":"'
        while True:
            yield b"x" * 2**20
    if kind == "rows":
        yield huge(tarfile.REGTYPE, "images/00000001.ndjson")
        for start in range(0, 100_000, 1000):
            yield b"".join(b'{"image_id":%d,"filename":"a","tags":[]}\n' % n for n in range(start + 1, start + 1001))
        return
    yield member("images/00000001.ndjson", lines({"image_id": 1, "filename": "a", "tags": []}))
    number = 0
    while True:
        number += 1
        yield member(f"objects/{key(1, number)}", PNG)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["row", "rows", "files"])
def test_an_endless_archive_takes_little_memory(kind, new_database, tmp_path):
    environment = {"POSTGRES_DSN": new_database("endless"), "KT_IMAGES_UPLOADS_DIR": str(tmp_path / "images")}
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], env=environment,
        bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            for piece in endless(kind):
                process.stdin.write(piece)
            process.stdin.close()
        except BrokenPipeError:
            pass
        used, complaint = process.stdout.read(), process.stderr.read()
    assert (process.returncode, complaint.count(b"\n")) == (1, 1), complaint
    assert complaint.startswith(b"The archive is "), complaint
    assert int(used) < 120 * 1024, f"{int(used) / 1024:.0f} MB"  # half of it is the program's own
    assert [path for path in (tmp_path / "images").rglob("*") if path.is_file()] == [tmp_path / "images" / "store.json"]


@pytest.fixture
def restoring(settings, tmp_path):
    """Run the command with an archive; return its status, what it says and what it complains of."""

    def run(archive, *arguments):
        path = tmp_path / "images.tar"
        path.write_bytes(archive.written())
        command = [sys.executable, "-m", "kt_images.manage.restore", path, "--postgres_dsn", settings.postgres_dsn]
        command += ["--uploads_dir", settings.uploads_dir, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return run


async def test_a_store_with_files_of_another_database_is_not_taken_unless_that_is_lost(
    archive, settings, pool, restoring
):
    other = Disk(settings.uploads_dir)
    await other.open()
    await other.enter(await other.claim())
    assert restoring(archive)[0] == 0  # an empty one is nobody's
    await pool.query("truncate images, orphans, store restart identity cascade")  # as if it were another database
    before = state(settings)
    status, _, complaint = restoring(archive)
    assert (status, "--adopt" in complaint, complaint.count("\n")) == (1, True, 1)
    assert state(settings) == before
    assert restoring(archive, "--adopt")[:2] == (0, f"2 images, 2 files, {2 * len(PNG):,} bytes\n")
