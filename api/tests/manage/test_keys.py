"""`python -m kt_images.manage.keys`."""

import subprocess
import sys

import psycopg2
import pytest

from kt_images.access import secrets


@pytest.fixture
def manage(dsn):
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("truncate keys")
    connection.close()

    def run(*arguments):
        command = [sys.executable, "-m", "kt_images.manage.keys", "--postgres_dsn", dsn, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_a_secret_stands_alone_and_is_listed_nowhere(manage):
    made = manage("create", "nightly", "--scopes", "write,read", "--expires", "90d")
    assert made.returncode == 0, made.stderr
    secret = secrets.parse(made.stdout.strip())
    assert "nightly" in made.stderr
    listed = manage("list").stdout
    header, line = listed.splitlines()
    assert header.split() == ["ID", "SCOPES", "MADE", "BY", "KEY", "ENDS", "LAST", "USED", "NAME"]
    assert line.startswith(f"{secret.key_id}  read,write  ")
    assert line.endswith("  not yet    nightly"), line
    assert secret.text[13:] not in listed


def test_a_key_is_rotated_and_revoked(manage):
    first = secrets.parse(manage("create", "a", "--scopes", "read").stdout.strip())
    second = secrets.parse(manage("rotate", first.key_id, "--overlap", "1h").stdout.strip())
    assert second.key_id == first.key_id
    assert second.text != first.text
    assert manage("revoke", first.key_id).stdout == f"revoked {first.key_id}\n"
    for command in ("revoke", "rotate"):
        again = manage(command, first.key_id)
        assert (again.returncode, again.stderr) == (1, "There is no key with this id; it may be revoked already\n")
        assert again.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "a", "--scopes", "all"), "There is no scope 'all'; there are read, write, delete, admin, metrics"),
        (("create", "a", "--scopes", ""), "scopes: "),
        (("create", "", "--scopes", "read"), "name: A name is 1 to 100 characters that can be seen"),
        (("create", "a", "--scopes", "read", "--expires", "soon"), "give a number of s, m, h or d, as in 90d"),
        (("create", "a", "--scopes", "read", "--expires", "999999999d"), "give a number of s, m, h or d, as in 90d"),
        (("rotate", "a", "--overlap", "8d"), "an old secret works for 7d at most"),
    ],
)
def test_a_bad_wish_is_refused_in_a_sentence(manage, arguments, sentence):
    refused = manage(*arguments)
    assert refused.returncode != 0
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
    assert len(manage("list").stdout.splitlines()) == 1
