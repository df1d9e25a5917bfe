"""The command that makes, upgrades and renews the schema, as a process."""

import contextlib
import os
import pty
import subprocess
import sys

import psycopg2
import pytest

from kt_images.database import schema
from sql import ask

ALL = ["00_drop-tables.sql", "01_ddl.sql", "02_create-index.sql"]


def load_fixtures(dsn, *arguments, **options):
    environment = {**os.environ, "POSTGRES_DSN": dsn}
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options
    )


@pytest.fixture
def fresh(server_dsn):
    """A database with nothing in it; gives its DSN and a way to ask it."""
    admin = psycopg2.connect(server_dsn)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("drop database if exists fresh with (force)")
        cursor.execute("create database fresh")
    admin.close()
    return server_dsn.replace("dbname=postgres", "dbname=fresh")


FILL = "insert into images (filename) values ('a'), ('b')"


def test_the_list_is_exactly_the_seed_s():
    answer = load_fixtures("host=/nowhere", "--list_all")
    assert (answer.returncode, answer.stdout) == (0, f"{ALL}\n")


def test_all_fixtures_are_applied_to_a_fresh_database(fresh):
    answer = load_fixtures(fresh, "--apply_all")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [f"applied {name}" for name in ALL]
    ask(fresh, FILL)
    assert ask(fresh, "select document from images") == [
        ('{"image_id":1,"filename":"a","tags":[]}',),
        ('{"image_id":2,"filename":"b","tags":[]}',),
    ]


def test_one_row_is_counted_as_one_row(fresh):
    load_fixtures(fresh, "--apply_all")
    ask(fresh, "insert into images (filename) values ('a')")
    assert "images (1 row)" in load_fixtures(fresh, "--apply_all").stdout


def test_a_name_that_no_fixture_has_is_answered_with_those_that_exist(fresh):
    assert load_fixtures(fresh, "x.sql").stderr == f"There is no fixture x.sql; choose from {', '.join(ALL)}\n"


def test_a_database_that_holds_images_is_not_dropped_without_a_word(fresh):
    load_fixtures(fresh, "--apply_all")
    ask(fresh, FILL)
    refused = load_fixtures(fresh, "--apply_all")
    assert refused.returncode == 1
    assert "images (2 rows)" in refused.stdout
    assert "--yes" in refused.stderr
    assert ask(fresh, "select count(*) from images") == [(2,)]
    assert load_fixtures(fresh, "00_drop-tables.sql").returncode == 1
    assert ask(fresh, "select count(*) from images") == [(2,)]
    assert load_fixtures(fresh, "--apply_all", "--yes").returncode == 0
    assert ask(fresh, "select count(*) from images") == [(0,)]


@pytest.mark.parametrize(("typed", "left"), [(b"yes\n", 0), (b"no\n", 2), (b"\x04", 2), (b"\n", 2)])
def test_at_a_terminal_it_asks(fresh, typed, left):
    load_fixtures(fresh, "--apply_all")
    ask(fresh, FILL)
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--apply_all", "--postgres_dsn", fresh]
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.write(keyboard, typed)
        _, stderr = process.communicate(timeout=20)
    os.close(keyboard)
    os.close(terminal)
    assert "Traceback" not in stderr
    assert (process.returncode == 0) == (left == 0)
    assert ask(fresh, "select count(*) from images") == [(left,)]


def test_an_upgrade_applies_what_is_missing_and_loses_nothing(fresh):
    assert load_fixtures(fresh, "--upgrade").stdout.splitlines() == [f"applied {name}" for name in ALL[1:]]
    ask(fresh, FILL)
    ask(
        fresh,
        "drop index images_tags, attachments_sha256, images_untagged, tag_counts_folded; delete from applied_fixtures where name = '02_create-index.sql'",
    )
    assert load_fixtures(fresh, "--upgrade").stdout.splitlines() == ["applied 02_create-index.sql"]
    assert load_fixtures(fresh, "--upgrade").stdout.splitlines() == ["the schema is up to date"]
    assert ask(fresh, "select count(*) from images") == [(2,)]


def test_names_apply_just_those(fresh):
    assert load_fixtures(fresh, "01_ddl.sql").returncode == 0
    assert {name for (name,) in ask(fresh, "select name from applied_fixtures")} == {"01_ddl.sql", *schema.migrations()}
    assert load_fixtures(fresh, "--upgrade").stdout == "applied 02_create-index.sql\n"


def test_a_fixture_that_fails_leaves_everything_as_it_was(fresh):
    load_fixtures(fresh, "--apply_all")
    ask(fresh, "create view mine as select 1 as one")
    ask(fresh, "alter table images rename to images_tags_old")
    answer = load_fixtures(fresh, "--apply_all", "--yes")  # the index's name is taken by the renamed table's
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert ask(fresh, "select to_regclass('attachments') is not null, to_regclass('applied_fixtures') is not null") == [
        (True, True)
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense.sql"],
        ["../01_ddl.sql"],
        [],
        ["--apply_all", "--upgrade"],
        ["--apply_all", "01_ddl.sql"],
        ["--nonsense"],
    ],
)
def test_arguments_that_make_no_sense_change_nothing(fresh, arguments):
    answer = load_fixtures(fresh, *arguments)
    assert answer.returncode != 0
    assert answer.stderr
    assert "Traceback" not in answer.stderr
    assert ask(fresh, "select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


@pytest.mark.parametrize(
    "dsn", ["host=/nowhere", "host=127.0.0.1 port=1", "nonsense", "host=/nowhere password=secret x=y"]
)
def test_no_database_is_one_sentence(dsn):
    answer = load_fixtures(dsn, "--apply_all")
    assert answer.returncode != 0
    assert answer.stderr.count("\n") == 1
    assert "secret" not in answer.stderr


def test_two_at_once_do_it_once(fresh):
    environment = {**os.environ, "POSTGRES_DSN": fresh}
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--upgrade"]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = sorted(process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0] * 4
    assert [output.startswith("applied") for output in outputs] == [True, False, False, False]


def test_with_yes_rows_may_come_while_it_works(fresh):
    """As beside a running service."""
    load_fixtures(fresh, "--apply_all")
    ask(fresh, FILL)
    environment = {**os.environ, "POSTGRES_DSN": fresh}
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--apply_all", "--yes"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(psycopg2.Error):
                ask(fresh, FILL)
    assert process.returncode == 0


def test_a_database_in_another_encoding_is_refused(server_dsn):
    for sql in (
        "drop database if exists latin with (force)",
        "create database latin encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' locale_provider libc template template0",
    ):
        ask(server_dsn, sql)
    answer = load_fixtures(server_dsn.replace("dbname=postgres", "dbname=latin"), "--upgrade")
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert "UTF8" in answer.stderr


def test_a_role_without_rights_is_one_sentence(fresh):
    ask(fresh, "drop role if exists guest; create role guest login")
    ask(fresh, "revoke create on schema public from public")
    answer = load_fixtures(fresh.replace("user=postgres", "user=guest"), "--upgrade")
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert "permission denied" in answer.stderr


def test_a_closed_terminal_is_no_answer(fresh):
    load_fixtures(fresh, "--apply_all")
    ask(fresh, FILL)
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--apply_all", "--postgres_dsn", fresh]
    answer = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
