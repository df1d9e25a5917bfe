"""What `make run` installs, and when."""

import os
import shutil
import subprocess

import pytest

from conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def would_run(tmp_path):
    """Show what `make WORD` would run in a clone whose environment has the package from somewhere."""

    def make(word, package):
        shutil.copy(ROOT / "Makefile", tmp_path)
        for name in ("api/pyproject.toml", "api/requirements.txt", ".venv/bin/python", ".venv/run", ".venv/dev"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        python = tmp_path / ".venv" / "bin" / "python"
        python.write_text(f"#!/bin/sh\necho '{package}'\n")
        python.chmod(0o755)
        command = ["make", "--dry-run", "--directory", tmp_path, word]
        return subprocess.run(
            command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
        ).stdout

    return make


def test_it_installs_nothing_while_the_environment_has_this_clone(would_run, tmp_path):
    shown = would_run("run", tmp_path / "api" / "src" / "kt_images")
    assert "pip" not in shown
    assert "-m kt_images" in shown


@pytest.mark.parametrize("word", ["run", "lint"])
@pytest.mark.parametrize("package", ["/elsewhere/site-packages/kt_images", ""])
def test_it_installs_again_when_a_copy_or_nothing_is_there(would_run, word, package):
    assert "--editable" in would_run(word, package)


def test_it_installs_the_service_the_client_and_the_database(would_run):
    assert "'api[server,cli,embedded]'" in would_run("run", "")


def test_make_alone_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    words = makefile.partition(".PHONY: ")[2].partition("\n")[0].split()
    shown = subprocess.run(["make", "--directory", ROOT], capture_output=True, text=True, check=True).stdout
    assert set(words) == {line.split()[0] for line in shown.splitlines() if not line.startswith("make")}
