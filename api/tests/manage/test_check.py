"""The check as a process: what it finds, what it repairs, and what it says to a program."""

import json
import os
import pty
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from kt_images import collector
from kt_images.files.disk import Disk
from pictures import drawn
from sql import ask

PICTURES = [drawn("PNG", (n, n)) for n in (10, 11, 12)]


@pytest.fixture
async def store(client, settings):
    """A store with three attachments of one image, a to c."""
    await client.post("/images", json={"filename": "x"})
    for name, picture in zip("abc", PICTURES, strict=True):
        await client.post(f"/images/1/attachment/{name}", data={"image": BytesIO(picture)})
    return settings.uploads_dir


@pytest.fixture
def check(store, settings):
    def run(*arguments, **options):
        environment = {
            **os.environ,
            "POSTGRES_DSN": settings.postgres_dsn,
            "KT_IMAGES_UPLOADS_DIR": str(settings.uploads_dir),
        }
        command = [sys.executable, "-m", "kt_images.manage.check", *arguments]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run(command, env=environment, text=True, check=False, **options)

    return run


def objects(store):
    return sorted(path for path in (store / "objects").rglob("*") if path.is_file())


def problems(answer):
    *found, totals = [json.loads(line) for line in answer.stdout.splitlines()]
    assert totals["problems"] == len(found)
    return {(one["problem"], one["filename"], one["repaired"]) for one in found}


def test_a_store_in_order(check):
    for arguments in ((), ("--deep",), ("--repair", "--grace", "0")):
        answer = check(*arguments)
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "3 rows, 3 objects: all is well\n", "")


def test_what_is_wrong_is_named(store, check):
    for name, path in zip("abc", objects(store), strict=True):
        {"a": path.unlink, "b": lambda p=path: p.write_bytes(b"short"), "c": lambda: None}[name]()
    path.with_name(f"1-{0:032x}.png").write_bytes(b"orphan")
    path.with_name("thumbs.db").write_bytes(b"?")
    answer = check("--ndjson", "--grace", "0")
    assert answer.returncode == 1
    kinds = {problem for problem, _, _ in problems(answer)}
    assert kinds == {"missing", "different", "orphan", "foreign"}
    human = check("--grace", "0")
    assert human.returncode == 1
    assert human.stdout.splitlines()[-1].startswith("3 rows, 4 objects: 1 missing, 1 different")


def test_only_a_deep_check_sees_a_changed_byte(store, check):
    path = objects(store)[0]
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert check().returncode == 0
    answer = check("--deep", "--ndjson")
    assert answer.returncode == 1
    assert {problem for problem, _, _ in problems(answer)} == {"different"}


async def test_what_the_collector_knows_is_no_problem(client, check):
    await client.post("/images/1/attachment/a", data={"image": BytesIO(PICTURES[1])})
    assert check("--grace", "0").stdout == "3 rows, 4 objects: all is well, 1 for the collector\n"


async def test_a_repair_leaves_objects_without_a_row_to_the_collector_and_changes_nothing_else(
    store, client, check, pool, settings
):
    orphan, half = objects(store)[0].with_name(f"1-{0:032x}.png"), store / "incoming" / "half"
    thumbnail = orphan.with_name(f"1-{1:032x}.png.w999.webp")
    for path in (orphan, thumbnail, half):
        path.write_bytes(b"x")
    young = check("--ndjson", "--repair")
    assert (young.returncode, problems(young)) == (0, set())
    assert check("--grace", "0").returncode == 1
    os.utime(half, (0, 0))
    repaired = check("--ndjson", "--repair", "--grace", "0")
    assert repaired.returncode == 0
    assert problems(repaired) == {("orphan", None, True), ("unfinished", None, True)}
    assert not half.exists()
    assert orphan.exists()
    assert check("--deep", "--grace", "0").stdout == "3 rows, 5 objects: all is well, 2 for the collector\n"
    disk = Disk(settings.uploads_dir)
    await disk.open()
    assert await collector.collect(pool, disk, (320,), 0) == 2
    assert check("--deep", "--grace", "0").stdout == "3 rows, 3 objects: all is well\n"
    for name in "abc":
        assert (await client.get(f"/media/1/{name}")).status == 200


def test_many_objects_without_a_row_may_be_of_another_database_and_are_left_alone(store, check, pool, settings):
    folder = objects(store)[0].parent
    for number in range(101):
        folder.joinpath(f"1-{number:032x}.png").write_bytes(b"x")
    known = "select count(*) from orphans"
    answer = check("--ndjson", "--repair", "--grace", "0")
    assert (answer.returncode, json.loads(answer.stdout.splitlines()[-1])["repaired"]) == (1, 0)
    assert "101 objects without a row are too many" in answer.stderr
    assert "--sole-owner" in answer.stderr
    assert ask(settings.postgres_dsn, known) == [(0,)]
    assert check("--repair", "--sole-owner", "--grace", "0").returncode == 0
    assert ask(settings.postgres_dsn, known) == [(101,)]


def test_names_from_outside_do_not_reach_the_terminal_as_they_are(store, check, settings):
    objects(store)[0].with_name("\x1b[31m\n.png").write_bytes(b"x")
    Path(settings.uploads_dir, "objects", os.fsdecode(b"\xff")).symlink_to("/etc/passwd")
    answer = check("--grace", "0")
    assert answer.returncode == 1
    assert "\x1b" not in answer.stdout
    assert answer.stdout.count("\n") == 3


def test_a_terminal_sees_how_far_it_is(check):
    keyboard, terminal = pty.openpty()
    assert check(stderr=terminal).returncode == 0
    os.close(terminal)
    assert b"rows  [####" in os.read(keyboard, 10_000)
    os.close(keyboard)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--nonsense"], 2),
        (["--grace", "x"], 2),
        (["--postgres_dsn", "nonsense"], 2),
        (["--postgres_dsn", "host=/nowhere"], 1),
        (["--uploads_dir", "/nowhere"], 1),
    ],
)
def test_what_keeps_it_from_checking_is_said(check, arguments, status):
    answer = check(*arguments)
    assert answer.returncode == status
    assert answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_reader_that_leaves_is_no_traceback(check):
    reader, writer = os.pipe()
    os.close(reader)
    answer = check(stdout=writer)
    os.close(writer)
    assert answer.stderr == ""
    assert answer.returncode == 1


async def test_wrong_counts_of_tags_are_found_and_repaired(client, check, pool):
    await client.post("/images", json={"filename": "a", "tags": ["x"]})
    await pool.query("insert into tag_changes values ('x', 2), ('', -1)")
    found = check("--ndjson")
    assert found.returncode == 1
    assert [(one["problem"], one["object"]) for one in map(json.loads, found.stdout.splitlines()[:-1])] == [
        ("miscounted", ""), ("miscounted", "x")
    ]  # fmt: skip
    assert "counted anew" in check("--repair").stdout
    assert check().returncode == 0
