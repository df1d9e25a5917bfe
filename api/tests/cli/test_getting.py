"""`kt-images get`, against the service and against one that is not to be trusted."""

import asyncio
import hashlib
import itertools

import pytest
from aiohttp import web

from cli.conftest import Cli, png
from services import wait_until

CONTENT = bytes(range(256)) * 1024


class StrangeService:
    """A service with one image, whose file has any name and bytes, and whose connections break as told."""

    def __init__(self):
        self.filename = "a.png"
        self.content = CONTENT
        self.sha256 = hashlib.sha256(CONTENT).hexdigest()
        self.tags = ["sea"]
        self.breaks = []  # after so many bytes, one answer each
        self.away = 0  # how many answers are 503
        self.ranges = []
        self.pause = 0.0

    @property
    def application(self):
        application = web.Application()
        application.router.add_get("/images/1", self.image)
        application.router.add_get("/images/1/attachments", self.attachments)
        application.router.add_get("/images/2/attachments", self.other)
        application.router.add_get("/media/{rest:.*}", self.media)
        return application

    async def image(self, _request):
        return web.json_response({"image_id": 1, "filename": "a.png", "tags": self.tags})

    async def attachments(self, _request):
        if self.away:
            self.away -= 1
            return web.json_response({"error": "Not now"}, status=503, headers={"Retry-After": "0"})
        return self.listed(self.filename)

    async def other(self, _request):
        return self.listed("b.png")

    def listed(self, filename):
        one = {"filename": filename, "size": len(self.content), "sha256": self.sha256}
        return web.json_response(
            [one | {"content_type": "image/png", "width": 1, "height": 1, "url": "file:///etc/passwd"}]
        )

    async def media(self, request):
        self.ranges.append(request.headers.get("Range"))
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-")) if self.ranges[-1] else 0
        end = len(self.content)
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = end - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{end}"
        await response.prepare(request)
        stop = start + self.breaks.pop(0) if self.breaks else end
        for begin, piece_end in itertools.pairwise([*range(start, min(stop, end), 16384), min(stop, end)]):
            await response.write(self.content[begin:piece_end])
            await asyncio.sleep(self.pause)
        if stop < end:
            await asyncio.sleep(0.05)
            request.transport.abort()
        return response


@pytest.fixture
async def strange(aiohttp_server, tmp_path):
    service = StrangeService()
    server = await aiohttp_server(service.application)
    client = Cli(tmp_path, str(server.make_url("")))

    async def run(*arguments, **options):
        return await asyncio.to_thread(client, *arguments, **options)

    service.client, service.run = client, run
    return service


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def kill_in_the_middle(client, folder):
    """Start a download, kill it when some of it is there, return the file that has this."""

    def has_begun():
        return any(part.stat().st_size >= 50_000 for part in folder.glob(".kt-images-*.part"))

    with client.start("get", 1) as process:
        wait_until(has_begun)
        process.kill()
    return next(folder.glob(".kt-images-*.part"))


async def test_file_has_its_bytes_and_a_name_of_its_own(strange, tmp_path):
    result = await strange.run("get", 1, "-o", "out")
    assert (result.status, result.out) == (0, "")
    assert result.err == "1 image: 1 file downloaded, 0 already there\n"
    assert (tmp_path / "out" / "1-a.png").read_bytes() == CONTENT
    assert files(tmp_path) == ["out/1-a.png"]


async def test_what_is_there_is_not_downloaded_again(strange, tmp_path):
    await strange.run("get", 1)
    result = await strange.run("get", 1)
    assert (result.status, result.err) == (0, "1 image: 0 files downloaded, 1 already there\n")
    assert len(strange.ranges) == 1


async def test_nothing_is_overwritten_unasked(strange, tmp_path):
    (tmp_path / "1-a.png").write_bytes(b"mine")
    result = await strange.run("get", 1)
    assert result.status == 1
    assert "1-a.png exists already, with other bytes; --overwrite replaces it" in result.err
    assert (tmp_path / "1-a.png").read_bytes() == b"mine"
    assert (await strange.run("get", 1, "--overwrite")).status == 0
    assert (tmp_path / "1-a.png").read_bytes() == CONTENT


async def test_a_link_is_neither_followed_nor_replaced(strange, tmp_path):
    (tmp_path / "1-a.png").symlink_to(tmp_path / "elsewhere")
    assert (await strange.run("get", 1)).status == 1
    assert not (tmp_path / "elsewhere").exists()


async def test_a_broken_download_is_resumed_where_it_stopped(strange, tmp_path):
    strange.breaks = [100_000, 50_000, 1]
    assert (await strange.run("get", 1)).status == 0
    assert (tmp_path / "1-a.png").read_bytes() == CONTENT
    assert strange.ranges[0] is None
    begins = [int(one.removeprefix("bytes=").removesuffix("-")) for one in strange.ranges[1:]]
    assert begins == sorted(begins)
    assert begins[0] > 0


async def test_interrupted_download_is_resumed_by_the_next_run(strange, tmp_path):
    strange.pause = 0.05
    await asyncio.to_thread(kill_in_the_middle, strange.client, tmp_path)
    strange.pause = 0.0
    assert (await strange.run("get", 1)).status == 0
    assert (tmp_path / "1-a.png").read_bytes() == CONTENT
    assert strange.ranges[1].startswith("bytes=")
    assert files(tmp_path) == ["1-a.png"]


async def test_a_beginning_of_another_file_is_discarded(strange, tmp_path):
    strange.pause = 0.02
    part = await asyncio.to_thread(kill_in_the_middle, strange.client, tmp_path)
    part.write_bytes(b"x" * 1000)
    assert (await strange.run("get", 1)).status == 0
    assert (tmp_path / "1-a.png").read_bytes() == CONTENT


async def test_bytes_with_another_hash_are_discarded(strange, tmp_path):
    strange.sha256 = "0" * 64
    result = await strange.run("get", 1)
    assert result.status == 1
    assert "1-a.png: SHA-256 mismatch; download discarded" in result.err
    assert files(tmp_path) == []


async def test_service_that_is_away_is_asked_again(strange):
    strange.away = 3
    assert (await strange.run("get", 1)).status == 0


async def test_service_that_stays_away_is_3_in_its_words(strange):
    strange.away = 1000
    result = await strange.run("get", 1, "--retry", 0.5)
    assert result.status == 3
    assert result.err.splitlines()[-1] == "Not now"


@pytest.mark.parametrize("name", ["../../escaped.png", "/tmp/escaped.png", "..", "CON", "a" * 400])
async def test_names_never_lead_out_of_the_folder(strange, tmp_path, name):
    strange.filename, strange.tags = name, ["../.."]
    assert (await strange.run("get", 1, "-o", "in", "--layout", "{tag}/{filename}")).status == 0
    (file,) = files(tmp_path)
    assert file.startswith("in/_.._/")
    assert file.count("/") == 2


async def test_names_with_escape_sequences_reach_neither_the_disk_nor_the_terminal(strange, tmp_path):
    strange.filename, strange.sha256 = "\x1b[2J\x9b.png", "0" * 64
    assert not set((await strange.run("get", 1)).err) & set("\x1b\x9b")
    strange.sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert (await strange.run("get", 1)).status == 0
    assert files(tmp_path) == ["1-_[2J_.png"]


async def test_progress_on_a_terminal_has_rate_and_time_left(strange):
    strange.pause = 0.1

    def watch():
        with strange.client.terminal("get", 1) as terminal:
            terminal.read_until("kB/s")
            terminal.read_until("0:00:0")
            return terminal.status(), terminal.text

    status, text = await asyncio.to_thread(watch)
    assert status == 0
    assert "Getting" in text
    assert "0/1" in text
    assert "1/1" in text
    assert "262.1/262.1 kB" in text


async def test_quiet_shows_no_progress(strange):
    def watch():
        with strange.client.terminal("get", 1, "--quiet") as terminal:
            return terminal.status(), terminal.text

    assert await asyncio.to_thread(watch) == (0, "")


class TestAgainstTheService:
    """The same, with real files."""

    def test_ids_through_a_pipe(self, cli, picture, tmp_path):
        for number in range(6):
            cli("add", picture(f"{number}.png", number), "--tag", "even" if number % 2 == 0 else "odd")
        listed = cli("list", "--ids", "--tag", "even").out
        result = cli("get", "-o", "out", "-", stdin=listed)
        assert (result.status, result.err) == (0, "3 images: 3 files downloaded, 0 already there\n")
        assert sorted(path.read_bytes() for path in (tmp_path / "out").iterdir()) == sorted(png(n) for n in (0, 2, 4))

    def test_images_that_match(self, cli, picture, tmp_path):
        cli("add", picture("a.png", 1), picture("b.png", 2), "--tag", "sea", "--jobs", 1)
        assert cli("get", "--tag", "sea", "-o", "out", "--layout", "{tag}/{stem}-{id:03}{ext}").status == 0
        assert files(tmp_path / "out") == ["sea/a-001.png", "sea/b-002.png"]

    def test_download_is_resumed_by_range(self, cli, picture, tmp_path):
        cli("add", picture("a.png", 1))
        cli("get", 1, "-o", "out")
        target = tmp_path / "out" / "1-a.png"
        whole = target.read_bytes()
        sha256 = hashlib.sha256(whole).hexdigest()
        part = f".kt-images-{hashlib.sha256(f'1/a.png/{sha256}'.encode()).hexdigest()[:32]}.part"
        target.unlink()
        (tmp_path / "out" / part).write_bytes(whole[:10])
        assert cli("get", 1, "-o", "out").status == 0
        assert target.read_bytes() == whole
        assert files(tmp_path / "out") == ["1-a.png"]

    def test_not_found_and_without_file(self, cli, service):
        assert cli("get", 7).status == 4
        assert "Image <7> is not found" in cli("get", 7).err
        service.create("a.png")
        assert "Image <1> has no file" in cli("get", 1).err

    def test_one_file_goes_to_standard_output(self, cli, picture, tmp_path):
        cli("add", picture("a.png", 1, side=200))
        with cli.start("get", 1, "-o", "-") as process:
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, png(1, 200), b"")
        assert files(tmp_path) == ["a.png"]

    def test_several_files_do_not_go_to_standard_output(self, cli, service, picture):
        cli("add", picture("a.png", 1), picture("b.png", 2))
        result = cli("get", 1, 2, "-o", "-")
        assert (result.status, result.out) == (2, "")
        assert result.err == "-o - writes one file, but 2 images are named; -o DIR takes several\n"
        service.sql(
            "insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height)"
            " select 1, 'again.png', object_key || 'x', content_type, size, sha256, width, height"
            " from attachments where image_id = 1"
        )
        result = cli("get", 1, "-o", "-")
        assert (result.status, result.out) == (1, "")
        assert result.err == "Image <1> has 2 files; -o DIR takes all of them\n"

    def test_bytes_are_not_written_to_a_terminal(self, cli, picture):
        cli("add", picture("a.png", 1))
        with cli.terminal("get", 1, "-o", "-") as terminal:
            assert terminal.status() == 2
        assert "Standard output is a terminal" in terminal.text


async def test_bytes_with_another_hash_on_standard_output_are_an_error(strange):
    strange.sha256 = "0" * 64
    with strange.client.start("get", 1, "-o", "-") as process:
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
    assert (process.returncode, out) == (1, CONTENT)
    assert err == b"SHA-256 mismatch: these are not the bytes of a.png\n"


def test_get_without_images_names_how_to_get_all(lonely_cli):
    result = lonely_cli("get")
    assert result.status == 2
    assert "for all images: kt-images list --ids | kt-images get -" in result.err


async def test_a_planted_part_is_not_followed(strange, tmp_path):
    identity = hashlib.sha256(f"1/a.png/{strange.sha256}".encode()).hexdigest()[:32]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".kt-images-{identity}.part").symlink_to(tmp_path / "elsewhere")
    result = await strange.run("get", 1, "-o", "out")
    assert result.status == 1
    assert "is not a regular file; delete it and try again" in result.err
    assert not (tmp_path / "elsewhere").exists()


async def test_a_name_that_is_no_unicode_fails_its_image_and_the_others_are_downloaded(strange, tmp_path):
    strange.filename = "half\udcff.png"
    result = await strange.run("get", 1, 2)
    assert result.status == 1
    summary, failure = sorted(result.err.splitlines())
    assert summary == "2 images: 1 file downloaded, 0 already there, 1 failed"
    assert "does not answer like kt-images" in failure
    assert files(tmp_path) == ["2-b.png"]


@pytest.mark.parametrize(("ids", "named"), [((4,), "4"), ((4, 5), "ID")])
def test_a_file_is_not_a_folder_for_downloads(lonely_cli, tmp_path, ids, named):
    (tmp_path / "my photo.jpg").touch()
    result = lonely_cli("get", *ids, "-o", "my photo.jpg")
    assert result.status == 2
    assert result.err == (
        f"-o names a folder, and my photo.jpg is a file; for one file: kt-images get {named} -o - > 'my photo.jpg'\n"
    )
