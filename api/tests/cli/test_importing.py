"""`kt-images import`."""

import json
import signal
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
