"""What all commands have in common."""

import subprocess
import sys
from pathlib import Path

import pytest

from kt_images.manage import command


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory with a database."""
    (tmp_path / "data" / "db").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSTGRES_DSN", raising=False)
    return tmp_path


def said(capsys, *arguments, changes=True):
    command.settings(command.parser("restore", "restore: ").parse_args(arguments), changes=changes)
    return capsys.readouterr().err


def test_what_changes_the_database_of_the_working_directory_says_which_that_is(elsewhere, capsys):
    assert said(capsys) == f"On the database in {elsewhere / 'data' / 'db'}\n"


def test_what_changes_nothing_or_was_told_which_database_says_nothing(elsewhere, capsys, monkeypatch):
    assert said(capsys, changes=False) == ""
    assert said(capsys, "--database_dir", str(Path("data", "db"))) == ""
    assert said(capsys, "--postgres_dsn", "dbname=x") == ""
    monkeypatch.setenv("POSTGRES_DSN", "dbname=x")
    assert said(capsys) == ""


@pytest.mark.parametrize("name", ["check", "backup"])
def test_a_folder_that_is_not_there_is_named(tmp_path, dsn, name):
    arguments = ["a.tar"] if name == "backup" else []
    words = ["-m", f"kt_images.manage.{name}", "--postgres_dsn", dsn, "--store", str(tmp_path / "nowhere"), *arguments]
    done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"The folder {tmp_path / 'nowhere'} does not exist\n"
