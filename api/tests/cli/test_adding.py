"""`kt-images add`."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from aiohttp import web

from cli.conftest import Cli, png
from cli.stand_in import StandIn
from services import wait_until


@pytest.fixture
def photos(picture, tmp_path):
    """photos/2024/sea/a.png, photos/2024/b.png, photos/c.PNG; and what is no picture."""
    for number, name in enumerate(["2024/sea/a.png", "2024/b.png", "c.PNG"]):
        picture(f"photos/{name}", number)
    picture("photos/.hidden.png", 8)
    picture("photos/.thumbnails/d.png", 9)
    (tmp_path / "photos" / "notes.txt").write_text("notes")
    return tmp_path / "photos"


def by_name(service):
    return {image["filename"]: image["tags"] for image in service.images()}


def test_dry_run_shows_files_and_tags_and_sends_nothing(lonely_cli, photos):
    result = lonely_cli("add", "photos", "--recursive", "--tag", "x", "--tags-from-path", "--dry-run")
    assert result.status == 0
    assert result.lines == ["photos/c.PNG\tx", "photos/2024/b.png\tx, 2024", "photos/2024/sea/a.png\tx, 2024, sea"]
    assert result.err.startswith("3 files would be sent, ")


def test_tags_from_the_path_of_a_file_are_the_folders_as_written(lonely_cli, photos):
    result = lonely_cli("add", "./photos/2024/../2024/b.png", "--tags-from-path", "--dry-run")
    assert result.lines == ["photos/2024/../2024/b.png\tphotos, 2024"]


def test_folder_needs_recursive(lonely_cli, photos):
    result = lonely_cli("add", "photos")
    assert (result.status, result.err) == (2, "photos is a folder; --recursive adds the pictures in it\n")


def test_an_unreachable_service_is_reported_once_however_many_files_there_are(lonely_cli, photos):
    result = lonely_cli("add", "photos", "--recursive")
    assert result.status == 3
    first, second = result.err.splitlines()
    assert first == "3 files: 0 added, 0 already there, 3 not sent: run it again to continue"
    assert second.endswith("cannot be reached: Connection refused")


def test_files_and_folders_with_their_tags(cli, service, photos, picture):
    result = cli("add", picture("x y 'я'.png", 5), "photos", "--recursive", "--tag", "new", "--tags-from-path", "--ids")
    assert (result.status, result.err) == (0, "4 files: 4 added, 0 already there\n1 file skipped: 1 .txt\n")
    assert sorted(map(int, result.lines)) == [1, 2, 3, 4]
    folders = [part for part in photos.parts[1:-1] if part]  # of the file that was given with its whole path
    expected = {"c.PNG": ["new"], "b.png": ["new", "2024"], "a.png": ["new", "2024", "sea"]}
    assert by_name(service) == expected | {"x y 'я'.png": ["new", *folders]}


def test_bytes_that_are_there_already_only_get_the_tags_that_they_lack(cli, service, picture):
    cli("add", picture("a.png", 1), "--tag", "x")
    result = cli("add", picture("copy of a.png", 1), "--tag", "y", "--ids")
    assert (result.status, result.out) == (0, "1\n")
    assert result.err == "1 file: 0 added, 1 already there, 1 of them tagged\n"
    assert by_name(service) == {"a.png": ["x", "y"]}


def test_failures_are_named_and_the_others_are_sent(cli, service, picture, tmp_path):
    (tmp_path / "text.png").write_text("this is no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "large.png").write_bytes(b"\0" * (2**20 + 2**17))
    (tmp_path / "line\nbreak.png").write_bytes(png(4))
    (tmp_path / "\udcff.png").write_bytes(png(5))
    names = ["missing.png", "text.png", "empty.png", "large.png", "line\nbreak.png", "\udcff.png"]
    result = cli("add", *names, picture("good.png", 1))
    assert result.status == 1
    *failures, summary = sorted(result.err.splitlines(), key=lambda line: line.startswith("7 files"))
    assert summary == "7 files: 1 added, 0 already there, 6 failed"
    assert sorted(line.split(": ", 1)[0] for line in failures) == sorted(
        ["missing.png", "text.png", "empty.png", "large.png", "line\\u000abreak.png", "\\udcff.png"]
    )
    assert "missing.png: No such file or directory" in failures
    assert list(by_name(service)) == ["good.png"]


def test_names_arrive_as_they_are(cli, service, picture):
    names = ['quo"te.png', "back`tick.png", "a;b=c.png", "100%25.png", "e\u0301.png", "-x.png", "😀.png"]
    paths = [picture(name, number).name for number, name in enumerate(names)]
    assert cli("add", "--", *paths).status == 0
    assert sorted(by_name(service)) == sorted(name.replace("e\u0301", "\xe9") for name in names)


def test_delete_after_deletes_a_file_once_the_service_confirms_it(cli, service, picture, tmp_path):
    good, bad = picture("good.png", 1), tmp_path / "bad.png"
    bad.write_text("this is no picture")
    assert cli("add", good, bad, "--delete-after").status == 1
    assert not good.exists()
    assert bad.exists()
    assert cli("add", picture("again.png", 1), "--delete-after").err == "1 file: 0 added, 1 already there\n"
    assert not (tmp_path / "again.png").exists()
    assert cli("get", 1, "--layout", "{filename}").status == 0
    assert (tmp_path / "good.png").read_bytes() == png(1)


def test_progress_on_a_terminal_has_rate_and_time_left(cli, picture):
    for number in range(60):
        picture(f"many/{number}.png", number)
    with cli.terminal("add", "many", "--recursive", "--jobs", 1, columns=120) as terminal:
        assert terminal.status() == 0
    for wanted in ("Adding", "0/60", "60/60", "kB", "B/s", "0:00:0", "60 files: 60 added, 0 already there"):
        assert wanted in terminal.text


def test_no_progress_in_a_pipe(cli, picture):
    result = cli("add", picture("a.png", 1))
    assert (result.out, result.err) == ("", "1 file: 1 added, 0 already there\n")


def test_ctrl_c_reports_how_many_are_done_and_the_next_run_continues(cli, service, picture):
    for number in range(200):
        picture(f"many/{number}.png", number)
    with cli.start("add", "many", "--recursive") as process:
        wait_until(lambda: len(service.images()) > 10)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"not sent: run it again to continue" in err
    assert (out, err.count(b"\n")) == (b"", 1)
    assert cli("add", "many", "--recursive").status == 0
    assert sorted(by_name(service)) == sorted(f"{number}.png" for number in range(200))
    assert len(service.images()) == 200


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_service_killed_in_the_middle_run_again_all_are_there_once(cli, service, picture, count):
    for number in range(count):
        picture(f"many/{number % 7}/{number}.png", number)
    with cli.start("add", "many", "--recursive", "--tags-from-path", "--retry", "1") as process:
        wait_until(lambda: len(service.images()) > count // 4)
        service.end()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert b"cannot be reached" in err
    service.start()
    assert cli("add", "many", "--recursive", "--tags-from-path").status == 0
    images = service.images()
    assert len(images) == count
    assert {image["filename"]: image["tags"] for image in images} == {
        f"{number}.png": [str(number % 7)] for number in range(count)
    }


def test_service_restarted_in_the_middle_is_waited_for(cli, service, picture):
    for number in range(300):
        picture(f"many/{number}.png", number)
    with cli.start("add", "many", "--recursive") as process:
        wait_until(lambda: len(service.images()) > 50)
        service.end()
        time.sleep(1)
        service.start()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.startswith(b"300 files: ")
    assert len(service.images()) == 300


def test_a_special_file_is_not_read(cli, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    result = cli("add", "pipe.png", "/dev/zero")
    assert result.status == 1
    assert sorted(result.err.splitlines())[:2] == [
        "/dev/zero: This is not a regular file",
        "2 files: 0 added, 0 already there, 2 failed",
    ]


def test_a_second_run_sends_no_file_again(cli, service, picture):
    for number in range(120):
        picture(f"many/{number}.png", number, side=100)
    size = sum(path.stat().st_size for path in (cli.home / "many").iterdir())
    with Relay(service.port) as relay:
        cli.server = relay.url
        assert cli("add", "many", "--recursive", "--tag", "x").status == 0
        assert relay.passed > size
        relay.passed = 0
        result = cli("add", "many", "--recursive", "--tag", "x")
        assert result.err == "120 files: 0 added, 120 already there\n"
        assert relay.passed < 120 * 400
        relay.passed = 0
        result = cli("add", "many", "--recursive")
        assert (result.status, result.err) == (0, "120 files: 0 added, 120 already there\n")
        assert relay.passed < 120 * 80 + 4 * 1000  # their digests, and the heads of a few requests


class Relay(StandIn):
    """Passes connections on to the service and counts the bytes that the client sends."""

    def __init__(self, port):
        super().__init__()
        self.port, self.passed = port, 0

    def finish_request(self, request, _address):
        with socket.create_connection(("127.0.0.1", self.port)) as service:
            back = threading.Thread(target=copy, args=(service, request), daemon=True)
            back.start()
            copy(request, service, self.count)
            back.join()

    def count(self, number):
        self.passed += number


def copy(source, target, count=lambda _: None):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            count(len(piece))
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


async def test_an_older_service_that_cannot_be_asked_gets_all_files(aiohttp_server, picture, tmp_path):
    received = []

    async def unknown(_request):
        return web.json_response({"error": "There is no such URL"}, status=404)

    async def upload(request):
        form = await request.post()
        received.append(form["image"].filename)
        return web.json_response({"image_id": len(received), "filename": received[-1], "tags": []}, status=201)

    application = web.Application()
    application.router.add_get("/attachments", unknown)
    application.router.add_post("/images/upload", upload)
    server = await aiohttp_server(application)
    for number in range(5):
        picture(f"{number}.png", number)
    client = Cli(tmp_path, str(server.make_url("")))
    result = await asyncio.to_thread(client, "add", ".", "--recursive")
    assert (result.status, result.err) == (0, "5 files: 5 added, 0 already there\n")
    assert sorted(received) == [f"{number}.png" for number in range(5)]


@pytest.fixture
def mixed(picture, tmp_path):
    """A picture, and what is skipped."""
    picture("mixed/a.png", 1)
    for name in ("b.mov", "c.MOV", "d.mov", "e.txt", "f", "g.tar.gz", ".hidden"):
        (tmp_path / "mixed" / name).write_text(name)
    (tmp_path / "mixed" / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "mixed" / "pipe.png")
    return tmp_path / "mixed"


SKIPPED = "8 files skipped: 1 .gz, 3 .mov, 1 .txt, 1 linked folder, 1 not a regular file, 1 without extension\n"


def test_skipped_files_are_named_by_their_kinds(cli, mixed):
    result = cli("add", "mixed", "--recursive")
    assert (result.status, result.err) == (0, f"1 file: 1 added, 0 already there\n{SKIPPED}")
    assert cli("add", "mixed", "--recursive", "--quiet").err == ""
    assert cli("add", "mixed", "--recursive", "--dry-run").err.endswith(f"\n{SKIPPED}")


def test_strict_makes_skipped_files_a_failure(cli, mixed):
    assert cli("add", "mixed", "--recursive", "--strict").status == 1
    assert cli("add", "mixed", "--recursive", "--strict", "--dry-run").status == 1
    result = cli("add", "mixed", "--recursive", "--strict", "--quiet")
    assert (result.status, result.err) == (1, SKIPPED)
    assert cli("add", "mixed/a.png", "--strict").status == 0


def test_delete_after_never_deletes_a_skipped_file(cli, mixed):
    before = sorted(path.name for path in mixed.iterdir())
    assert cli("add", "mixed", "--recursive", "--delete-after").status == 0
    assert sorted(path.name for path in mixed.iterdir()) == [name for name in before if name != "a.png"]


@pytest.mark.parametrize("extension", ["heic", "HEIF", "hif"])
def test_telephones_pictures_are_taken_from_folders(lonely_cli, tmp_path, extension):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / f"a.{extension}").write_bytes(b"picture")
    result = lonely_cli("add", "photos", "--recursive", "--dry-run")
    assert (result.lines, result.err) == ([f"photos/a.{extension}"], "1 file would be sent, 7 bytes\n")


def test_a_refused_tag_is_named_like_its_option(cli, picture):
    result = cli("add", picture("a.png", 1), "--tag", "x" * 101)
    assert result.status == 1
    assert result.err.splitlines()[0].startswith(f"{cli.home}/a.png: --tag: A tag is 1 to 100 characters")


def test_the_summary_counts_the_images_that_got_tags(cli, picture):
    for number in range(5):
        picture(f"many/{number}.png", number)
    cli("add", "many/0.png", "many/1.png", "--tag", "x")
    cli("add", "many", "--recursive")
    result = cli("add", "many", picture("new.png", 5), "--recursive", "--tag", "x")
    assert result.err == "6 files: 1 added, 5 already there, 3 of them tagged\n"


def test_a_refused_tag_of_an_image_that_is_there_is_named_like_its_option_too(cli, picture):
    cli("add", picture("a.png", 1))
    result = cli("add", "a.png", "--tag", "")
    assert result.status == 1
    assert result.err.splitlines()[0].startswith("a.png: --tag: A tag is 1 to 100 characters")


@pytest.mark.parametrize("name", ["line\nbreak.png", "\udcff.png"])
def test_a_name_that_cannot_be_sent_is_refused_even_if_the_bytes_are_there(cli, service, picture, name):
    bad = picture(f"many/{name}", 1)
    picture("many/good.png", 1)
    for summary in ("1 added, 0 already there", "0 added, 1 already there"):
        result = cli("add", "many", "--recursive", "--delete-after")
        assert (result.status, result.err.splitlines()[-1]) == (1, f"2 files: {summary}, 1 failed")
        assert "The file's name is not UTF-8 or has control characters: rename it" in result.err
        assert bad.exists()
        picture("many/good.png", 1)
    assert list(by_name(service)) == ["good.png"]


LONG = "y" * 101


@pytest.mark.parametrize("is_there", [False, True])
def test_a_refused_folder_is_named_and_not_the_option(cli, service, picture, is_there):
    (path := picture(f"photos/sea/{LONG}/a.png", 1)).with_name("b.txt").touch()
    if is_there:
        cli("add", path)
    result = cli("add", "photos", "--recursive", "--tags-from-path", "--tag", "x")
    assert result.status == 1
    assert f"a.png: the folder {LONG}: A tag is 1 to 100 characters" in result.err
    assert "--tag" not in result.err
    assert list(by_name(service).values()) == [[]] * is_there
    result = cli("add", "photos", "--recursive", "--tags-from-path", "--tag", LONG)
    assert "a.png: --tag: A tag is 1 to 100 characters" in result.err


def test_too_many_tags_are_those_of_the_option_and_of_the_folders(cli, picture):
    picture("photos/sea/a.png", 1)
    many = [word for number in range(64) for word in ("--tag", f"t{number}")]
    result = cli("add", "photos", "--recursive", "--tags-from-path", *many)
    assert "a.png: --tag and the folders: An image has at most 64 tags" in result.err
    result = cli("add", "photos", "--recursive", "--tag", "x", *many)
    assert "a.png: --tag: An image has at most 64 tags" in result.err


def test_dry_run_says_what_would_be_refused_as_the_run_does(cli, service, picture):
    for number, name in enumerate(["a.png", "back\\slash.png", "line\nbreak.png", "\udcff.png", f"{LONG}/b.png"]):
        picture(f"photos/{name}", number)
    arguments = ("add", "photos", "--recursive", "--tags-from-path", "--tag", "x")
    dry, run = cli(*arguments, "--dry-run"), cli(*arguments)
    assert (dry.status, run.status) == (1, 1)
    assert dry.lines == ["photos/a.png\tx"]
    *dry_failures, summary = dry.err.splitlines()
    assert summary == f"1 file would be sent, {len(png(0))} bytes, 4 would be refused"
    assert sorted(dry_failures) == sorted(run.err.splitlines()[:-1])
    assert len(dry_failures) == 4
    assert list(by_name(service)) == ["a.png"]


def test_a_tag_that_utf_8_cannot_encode_is_a_failure_of_its_file(cli, service, picture):
    result = cli("add", picture("a.png", 1), "--tag", "\udcff")
    assert (result.status, result.err.splitlines()[-1]) == (1, "1 file: 0 added, 0 already there, 1 failed")
    assert "malformed" in result.err
