"""`kt-images list`."""

import csv
import io
import json
import os
import subprocess

import pytest

MANY = "insert into images (filename, tags) select 'image-' || n || '.jpg', '{a,b}' from generate_series(1, %s) n"


@pytest.fixture
def three(service):
    return [service.create("a.jpg", "x"), service.create("b.jpg", "x", "y"), service.create("c d.jpg", "z")]


def test_lines_in_a_pipe(cli, three):
    assert cli("list").lines == ["1\ta.jpg\tx", "2\tb.jpg\tx, y", "3\tc d.jpg\tz"]


def test_json_is_one_array(cli, three):
    assert json.loads(cli("list", "--json").out)[1] == {"image_id": 2, "filename": "b.jpg", "tags": ["x", "y"]}
    assert json.loads(cli("list", "--json", "--tag", "no").out) == []


def test_ndjson_is_an_object_in_each_line(cli, three):
    assert [json.loads(line)["image_id"] for line in cli("list", "--ndjson").lines] == three


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tag", "x"], [1, 2]),
        (["--tag", "x", "--tag", "y"], [2]),
        (["--all", "x", "--all", "y"], [2]),
        (["--any", "y", "--any", "z"], [2, 3]),
        (["--none", "y"], [1, 3]),
        (["--any", "x", "--none", "y"], [1]),
        (["--limit", "2"], [1, 2]),
        (["--tag", "X"], []),
    ],
)
def test_filters(cli, three, arguments, expected):
    result = cli("list", "--ids", *arguments)
    assert result.status == 0
    assert [int(line) for line in result.lines] == expected


def test_table_in_a_terminal_fits_its_width(cli, service):
    service.create("a" * 200 + ".jpg", *(f"tag-{n}" for n in range(20)))
    service.create("картина 水彩画.jpg", "море")
    with cli.terminal("list", columns=80) as terminal:
        assert terminal.status() == 0
    header, first, second = terminal.text.replace("\r", "").splitlines()
    assert header.split() == ["ID", "FILENAME", "TAGS"]
    assert len(first) == 80
    assert first.count("…") == 2
    assert second.split() == ["2", "картина", "水彩画.jpg", "море"]


def test_escape_sequences_are_shown_and_not_obeyed(cli, service):
    service.sql(
        "insert into images (filename, tags) values (%s, %s)", "\x1b]0;gotcha\x07\u202egpj.exe", ["\x9b2J", "a\nb"]
    )
    with cli.terminal("list") as terminal:
        terminal.status()
    for text in (
        terminal.text.replace("\r\n", ""),
        *(cli("list", *form).out for form in ([], ["--json"], ["--ndjson"])),
    ):
        assert not set(text.rstrip("\n")) & set("\x1b\x07\x9b\u202e\n")
    assert json.loads(cli("list", "--ndjson").out)["tags"] == ["\x9b2J", "a\nb"]
    assert "\x1b" not in cli("show", "1").out


def test_json_keeps_what_it_says_whatever_the_text(cli, service):
    texts = ["plain", "море 水 😀", 'quo"te \\ {}\n[1],\n', "\x7f", "\u2028\u2029\x85", "\ufeff\u200f", "}\n{"]
    for text in texts:
        service.sql("insert into images (filename, tags) values (%s, %s)", text, [text, "x"])
    result = cli("list", "--ndjson")
    for out in (result.out, cli("list", "--json").out):
        assert not set(out) & set("\x7f\u2028\u2029\x85\ufeff\u200f")
        assert "море 水 😀" in out
    images = [json.loads(line) for line in result.out.split("\n")[:-1]]
    assert [(image["filename"], image["tags"]) for image in images] == [(text, [text, "x"]) for text in texts]
    assert json.loads(cli("list", "--json").out) == images


def test_first_row_shows_before_the_last_is_read(cli, service):
    service.sql(MANY, 100_000)
    with cli.start("list") as process:
        assert process.stdout.readline() == b"1\timage-1.jpg\ta, b\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)  # nobody reads: it is far from the end
        rest = process.stdout.read()
        assert process.wait(60) == 0
    assert rest.count(b"\n") == 99_999


@pytest.mark.parametrize("rows", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_list(cli, service, rows):
    service.sql(MANY, rows)
    peaks = []
    for limit in (1_000, rows):
        with cli.start("list", "--limit", limit) as process:
            assert sum(1 for _ in process.stdout) == limit
            _, ended, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(ended)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] - peaks[0] < 8 * 1024  # KiB


def test_list_that_breaks_off_is_an_error(cli, service):
    service.sql(MANY, 100_000)
    with cli.start("list", "--json") as process:
        process.stdout.read(10_000)
        service.end()
        rest = process.stdout.read()
        err = process.stderr.read()
        assert process.wait(60) == 1
    assert b"The list broke off after" in err
    assert len(err.splitlines()) == 1
    assert not rest.endswith(b"]\n")


def test_csv_is_for_spreadsheets(cli, service):
    service.create('a, "b".jpg', "x", "y,z")
    service.create("c.jpg")
    out = cli("list", "--csv").out
    assert list(csv.reader(io.StringIO(out))) == [
        ["image_id", "filename", "tags"],
        ["1", 'a, "b".jpg', 'x, "y,z"'],
        ["2", "c.jpg", ""],
    ]
    assert cli("list", "--csv", "--tag", "no").lines == ["image_id,filename,tags"]


def test_an_empty_list_says_so_on_a_terminal_only(cli, service):
    for arguments, sentence in ([], "No images are stored yet"), (["--tag", "x"], "No image matches"):
        with cli.terminal("list", *arguments) as terminal:
            assert terminal.status() == 0
        assert sentence in terminal.text
        assert cli("list", *arguments).err == ""


def test_a_word_is_taken_for_a_tag_that_was_meant(lonely_cli):
    result = lonely_cli("list", "beach house")
    assert (result.status, result.out) == (2, "")
    assert "kt-images list --tag 'beach house'" in result.err


def test_a_refused_filter_is_named_like_its_option(cli):
    result = cli("list", "--any", "")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("--any: A tag is 1 to 100 characters")
