"""`kt-images show` and `kt-images open`."""

import json
import shlex
import sys


def test_show_tells_of_an_image(cli, service):
    service.create("a.jpg", "x", "y")
    assert cli("show", 1).lines[:3] == ["id        1", "filename  a.jpg", "tags      x, y"]


def test_show_as_json_is_an_object_in_each_line(cli, service):
    service.create("a.jpg", "x")
    service.create("b.jpg")
    result = cli("show", 1, 9, 2, "--json")
    assert [json.loads(line)["filename"] for line in result.lines] == ["a.jpg", "b.jpg"]
    assert (result.status, result.err) == (1, "Image <9> is not found\n")


def test_show_tells_of_the_files(cli, picture):
    cli("add", picture("a b.png", 1))
    assert "file      a b.png, image/png, 8x8, " in cli("show", 1).out
    assert json.loads(cli("show", 1, "--json").out)["attachments"][0]["width"] == 8


def test_open_shows_the_file_in_the_browser(cli, service, picture, tmp_path):
    cli("add", picture("a b.png", 1))
    shown = tmp_path / "shown"
    script = f"import sys; open({str(shown)!r}, 'w').write(sys.argv[1])"
    cli.environment["BROWSER"] = f"{sys.executable} -c {shlex.quote(script)} %s"
    assert cli("open", 1).status == 0
    assert shown.read_text() == f"{service.url}/media/1/a%20b.png"
    assert cli("open", 1, "--print").out == f"{service.url}/media/1/a%20b.png\n"


def test_open_without_a_file_is_4(cli, service):
    service.create("a.jpg")
    result = cli("open", 1)
    assert (result.status, result.err) == (4, "Image <1> has no file\n")
