"""`kt-images import`."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time

import pytest

from services import wait_until


def rows(service):
    return [(image["filename"], image["tags"]) for image in service.images()]


def test_lines_become_images(cli, service, tmp_path):
    (tmp_path / "images.ndjson").write_text('{"filename": "a", "tags": ["x"]}\n{"filename": "b"}')
    result = cli("import", "images.ndjson")
    assert (result.status, result.err) == (0, "2 images stored, 0 lines refused\n")
    assert rows(service) == [("a", ["x"]), ("b", [])]


def test_what_list_writes_comes_back(cli, service, tmp_path):
    service.create("a.jpg", "x", "y z")
    service.create('b "quoted", c.jpg')
    service.create("c.jpg", "a, b", "c,d", '5" lens', '"', "e ", ", ", "'")
    stored = rows(service)
    for form, name in (("--ndjson", "all.ndjson"), ("--csv", "all.csv")):
        (tmp_path / name).write_text(cli("list", form).out)
    for name in ("all.ndjson", "all.csv"):
        assert cli("import", name).status == 0
    assert cli("import", "-", stdin=(tmp_path / "all.ndjson").read_text()).status == 0
    assert cli("import", "-", "--csv", stdin=(tmp_path / "all.csv").read_text()).status == 0
    assert rows(service) == stored * 5


def test_rows_of_a_table_are_counted_as_lines(cli, service):
    result = cli("import", "-", "--csv", stdin='tags,filename\n"x, y",a\n\n,\nz,b,more\n')
    assert result.status == 1
    first, second, last = result.err.splitlines()
    assert first.startswith("Line 4: filename: ")
    assert second.startswith("Line 5: column 3: ")
    assert last == "1 image stored, 2 lines refused"
    assert rows(service) == [("a", ["x", "y"])]


def test_a_malformed_table_is_told_after_the_rows_before_it(cli, service):
    result = cli("import", "-", "--csv", stdin=f"filename\na\n{'x' * 200_000}\n")
    assert (result.status, len(result.err.splitlines())) == (1, 1)
    assert result.err.startswith("The table is malformed: ")
    assert rows(service) == [("a", [])]


def test_a_misspelt_column_loses_no_tags(cli, service):
    result = cli("import", "-", "--csv", stdin="filename,tag\na,b\n")
    assert result.status == 2
    assert "no column 'tag'" in result.err


def test_refused_lines_are_told_by_number(cli, service):
    result = cli("import", "-", stdin='{"filename": "a"}\nnonsense\n{"filename": ""}\n')
    assert result.status == 1
    assert [line.split(":")[0] for line in result.err.splitlines()] == [
        "Line 2",
        "Line 3",
        "1 image stored, 2 lines refused",
    ]
    assert rows(service) == [("a", [])]


def test_lines_can_be_left_out(cli, service):
    result = cli("import", "-", "--skip", "1", stdin='{"filename": "a"}\n{"filename": "b"}\nnonsense\n')
    assert "Line 3:" in result.err
    assert rows(service) == [("b", [])]


def test_a_wrong_command_line_is_said(cli, service, tmp_path):
    assert cli("import", "none.ndjson").status == 2
    assert "filename" in cli("import", "-", "--csv", stdin="name,tags\na,b\n").err
    assert cli("import", "-", "--skip", "-1").status == 2


def test_it_goes_on_after_the_service_was_away(cli, service, tmp_path):
    names = [str(number) for number in range(60_000)]
    (tmp_path / "many.ndjson").write_text(
        "".join(json.dumps({"filename": name, "tags": ["a"] * 60}) + "\n" for name in names)
    )
    with cli.start("import", "many.ndjson", "--retry", "60") as process:
        wait_until(lambda: service.json("/images/count")["totalImages"] > 5000)
        service.end(signal.SIGTERM)
        time.sleep(0.5)
        service.start()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found = [name for name, _ in rows(service)]
    assert sorted(set(found), key=int) == names
    assert len(found) - len(names) <= 5000  # stored, but not told before the end


def test_an_unreachable_service_is_3_at_once(lonely_cli, tmp_path):
    (tmp_path / "a.ndjson").write_text('{"filename": "a"}')
    before = time.monotonic()
    result = lonely_cli("import", "a.ndjson")
    assert (result.status, len(result.err.splitlines())) == (3, 1)
    assert "cannot be reached" in result.err
    assert time.monotonic() - before < 10


LINES = "".join(json.dumps({"filename": str(number), "tags": ["a"] * 60}) + "\n" for number in range(60_000))


def gone_on(cli, service, sentence, **given):
    """Follow the advice, and return the names that are stored then."""
    command = re.search(r"to go on: kt-images (import .*?)(, with the same lines)?$", sentence.strip())[1]
    assert cli(*shlex.split(command), **given).status == 0, command
    return [name for name, _ in rows(service)]


def is_complete(names):
    # A batch may be stored, but not told before the end.
    return {int(name) for name in names} == set(range(60_000)) and len(names) <= 61_000


def test_one_that_cannot_be_read_again_says_how_to_go_on(cli, service):
    with cli.start("import", "-", stdin=subprocess.PIPE) as process:
        feeding = threading.Thread(target=feed, args=(process.stdin,))
        feeding.start()
        wait_until(lambda: service.json("/images/count")["totalImages"] > 5000)
        service.end()
        err = process.stderr.read().decode()
        assert process.wait(60) == 1
        feeding.join()
    assert re.fullmatch(
        r"The import broke off; [\d,]+ lines are done with; to go on: kt-images import --skip \d+ -, with the same lines\n",
        err,
    )
    service.start()
    assert is_complete(gone_on(cli, service, err, stdin=LINES))


def feed(pipe):
    with contextlib.suppress(BrokenPipeError):
        pipe.write(LINES.encode())
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


def test_one_that_is_interrupted_says_how_to_go_on(cli, service, tmp_path):
    (tmp_path / "my images.txt").write_text(LINES)
    with cli.start("import", "my images.txt") as process:
        wait_until(lambda: service.json("/images/count")["totalImages"] > 5000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(rb"[\d,]+ lines are done with; to go on: kt-images import --skip \d+ 'my images.txt'\n", err)
    assert sorted(gone_on(cli, service, err.decode()), key=int) == list(map(str, range(60_000)))


def test_a_pipe_with_a_name_is_not_read_twice(cli, service, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with cli.start("import", "pipe") as process:
        feeding = threading.Thread(target=lambda: feed((tmp_path / "pipe").open("wb")))
        feeding.start()
        wait_until(lambda: service.json("/images/count")["totalImages"] > 5000)
        service.end()
        err = process.stderr.read().decode()
        assert process.wait(60) == 1
        feeding.join()
    assert "to go on: kt-images import --skip " in err
    assert err.endswith(" pipe, with the same lines\n")


@pytest.mark.parametrize("name", ["all.ndjson", "all.csv"])
def test_an_export_comes_back_as_it_was(cli, service, tmp_path, name):
    service.create("a.jpg", "x", "a, b", '"', "a\u2028b", "a\\u2028b")
    service.create('\ufeff b "quoted", c.jpg')
    stored = rows(service)
    assert cli("export", name).err == "2 images exported\n"
    assert cli("export", name).status == 2
    assert cli("export", name, "--overwrite").status == 0
    assert cli("import", name).status == 0
    assert rows(service) == stored * 2
    assert cli("export", name, "--overwrite", "--tag", "x").err == "2 images exported\n"


def test_an_export_that_breaks_off_leaves_nothing(cli, service, tmp_path):
    service.sql("insert into images (filename, tags) select repeat('a', 200), '{b}' from generate_series(1, 200000)")
    with cli.start("export", "all.ndjson") as process:
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob(".kt-images-*.part")))
        service.end()
        assert process.wait(60) == 1
        assert b"The list broke off" in process.stderr.read()
    assert not [path for path in tmp_path.iterdir() if "all" in path.name or path.suffix == ".part"]
