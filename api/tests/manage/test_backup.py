"""A backup of a running service, restored to an empty one: nothing missing, nothing different."""

import io
import os
import subprocess
import sys
import tarfile
from io import BytesIO

import pytest

from pictures import drawn
from sql import ask

PICTURES = [drawn("PNG", (n, n)) for n in (10, 11, 12)]
COLUMNS = "image_id, filename, content_type, size, sha256, width, height, created_at"


def command(name, dsn, uploads, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", f"kt_images.manage.{name}", *arguments],
        env={**os.environ, "POSTGRES_DSN": dsn, "KT_IMAGES_UPLOADS_DIR": str(uploads)},
        check=False,
        capture_output=True,
        **options,
    )


def everything(dsn):
    return [
        ask(dsn, "select image_id, filename, tags from images order by 1"),
        ask(dsn, f"select {COLUMNS} from attachments order by 1, 2"),
    ]


@pytest.fixture
async def stocked(client):
    """Images with ids 1, 3 and 4, two files, and the id 5 gone."""
    for name, tags in (("a", []), ("b", []), ('q"ü\u202e.jpg', ["x", 'y",{}'])):
        await client.post("/images", json={"filename": name, "tags": tags})
    for name, picture in zip(("a", "ü %", "a"), PICTURES, strict=True):
        await client.post(f"/images/3/attachment/{name}", data={"image": BytesIO(picture)})
    await client.post("/images", json={"filename": "c"})
    await client.post("/images", json={"filename": "d"})
    await client.delete("/images/2")
    await client.delete("/images/5")
    return client


@pytest.fixture
def tar(stocked, dsn, settings, tmp_path):
    """The archive of what is stocked."""
    path = tmp_path / "backup.tar"
    answer = command("backup", dsn, settings.uploads_dir, str(path))
    assert (answer.returncode, answer.stdout) == (0, b""), answer.stderr
    assert answer.stderr.decode() == f"3 images, 2 files, {len(PICTURES[1]) + len(PICTURES[2]):,} bytes\n"
    return path


@pytest.fixture
def empty(new_database):
    return new_database("restored")


async def test_what_is_restored_is_what_was_there(tar, dsn, empty, serve, tmp_path):
    restored = tmp_path / "restored"
    answer = command("restore", empty, restored, str(tar))
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert everything(empty) == everything(dsn)
    check = command("check", empty, restored, "--deep", "--grace", "0")
    assert check.stdout == b"2 rows, 2 objects: all is well\n"
    client = await serve(postgres_dsn=empty, uploads_dir=restored)
    assert await (await client.get("/media/3/a")).read() == PICTURES[2]
    assert (await client.post("/images", json={"filename": "new"})).headers["Location"] == "/images/6"


def test_it_goes_through_pipes(tar, dsn, settings, empty, tmp_path):
    backup = command("backup", dsn, settings.uploads_dir, "-")
    assert backup.stdout == tar.read_bytes()
    assert command("restore", empty, tmp_path / "restored", "-", input=backup.stdout).returncode == 0
    assert everything(empty) == everything(dsn)


def test_any_tar_can_read_it(tar):
    with tarfile.open(tar) as file:
        names = file.getnames()
    assert (names[0], names[-1]) == ("manifest.ndjson", "totals.ndjson")
    assert sum(name.startswith("objects/003/3-") for name in names) == 2


def test_only_an_empty_database_is_restored_to(tar, dsn, settings):
    before = everything(dsn)
    answer = command("restore", dsn, settings.uploads_dir, str(tar))
    assert (answer.returncode, answer.stderr.count(b"\n")) == (1, 1)
    assert b"empty" in answer.stderr
    assert everything(dsn) == before


def changed(tar, change):
    """The archive with each member's name and bytes as `change` returns them; None leaves it out."""
    made = BytesIO()
    with tarfile.open(tar) as old, tarfile.open(fileobj=made, mode="w") as new:
        for member in old:
            if one := change(member.name, old.extractfile(member).read()):
                member.name, content = one
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
    return made.getvalue()


DAMAGES = {
    "cut off in a file": lambda tar: tar.read_bytes()[: tar.stat().st_size // 2],
    "cut off at its end": lambda tar: tar.read_bytes()[:-2048],
    "cut off at once": lambda _: b"",
    "no tar": lambda _: b"x" * 5000,
    "another tar": lambda tar: changed(tar, lambda name, text: (name, text) if "manifest" not in name else None),
    "another version": lambda tar: changed(tar, lambda name, text: (name, text.replace(b'"version": 1', b'"version": 9'))),
    "a changed byte": lambda tar: changed(tar, lambda name, text: (name, text[:-1] + b"?" if name[:2] == "ob" else text)),
    "a file less": lambda tar: changed(tar, lambda name, text: None if name.startswith("objects/") else (name, text)),
    "rows less": lambda tar: changed(tar, lambda name, text: None if name.startswith("images/") else (name, text)),
    "attachments less": lambda tar: changed(tar, lambda name, text: None if name[:2] == "at" else (name, text)),
    "totals less": lambda tar: changed(tar, lambda name, text: None if name[:2] == "to" else (name, text)),
    "rows that are none": lambda tar: changed(tar, lambda name, text: (name, b"[1]\n" if name[:2] == "im" else text)),
    "a name that leads out": lambda tar: changed(tar, lambda name, text: (name.replace("objects/", "objects/../../"), text)),
    "a name that is none": lambda tar: changed(tar, lambda name, text: (name.replace("objects/", "objects//etc/"), text)),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_restores_nothing(tar, empty, tmp_path, damage):
    answer = command("restore", empty, tmp_path / "restored", "-", input=DAMAGES[damage](tar))
    assert (answer.returncode, answer.stderr.count(b"\n")) == (1, 1), answer.stderr.decode()
    assert everything(empty) == [[], []]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in {"restored", "images"}) == ["backup.tar"]
    # And the next attempt is not in its way.
    assert command("restore", empty, tmp_path / "restored", str(tar)).returncode == 0


def test_a_damaged_store_is_not_backed_up_in_silence(tar, dsn, settings):
    objects = settings.uploads_dir / "objects"
    found = next(one for one in objects.rglob("*.png") if one.read_bytes() == PICTURES[1])
    found.write_bytes(b"\0" * found.stat().st_size)
    other = tar.with_name("other.tar")
    answer = command("backup", dsn, settings.uploads_dir, str(other))
    assert (answer.returncode, answer.stderr.count(b"\n")) == (1, 1)
    assert str(found.relative_to(objects)) in answer.stderr.decode()
    assert not other.exists()


def test_an_archive_is_never_written_over(tar, dsn, settings):
    before = tar.read_bytes()
    answer = command("backup", dsn, settings.uploads_dir, str(tar))
    assert (answer.returncode, answer.stderr.decode()) == (1, f"{tar} exists already; choose another name\n")
    assert tar.read_bytes() == before


def test_an_archive_that_is_not_there_is_a_plain_sentence(empty, tmp_path):
    answer = command("restore", empty, tmp_path / "restored", "nofile.tar")
    assert (answer.returncode, answer.stderr) == (1, b"nofile.tar does not exist; check the path\n")


@pytest.mark.parametrize("name", ["backup", "restore", "check", "load_fixtures"])
def test_the_help_says_what_a_command_does_and_its_name_once(name):
    shown = command(name, "", "", "--help").stdout.decode()
    assert shown.count(f"kt_images.manage.{name}") == 1
    assert "`" not in shown


def test_a_reader_that_leaves_is_no_traceback(tar, dsn, settings):
    reader, writer = os.pipe()
    os.close(reader)
    answer = subprocess.run(
        [sys.executable, "-m", "kt_images.manage.backup", "-", "--uploads_dir", settings.uploads_dir],
        env={**os.environ, "POSTGRES_DSN": dsn}, check=False, stdout=writer, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (1, b"")
