"""The program itself: its start, its help and the documentation's copy of it, completion, `serve`."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest

from cli import helps
from cli.conftest import Terminal
from cli.helps import ROOT
from cli.stand_in import StandIn

PROJECT = tomllib.loads((ROOT / "api" / "pyproject.toml").read_text())["project"]
EXTRAS = ("server", "cli")


def test_help_names_all_commands_and_statuses():
    text = " ".join(re.sub("[^a-z0-9 ]", " ", helps.help_of("").lower()).split())
    assert all(f" {command.split()[0].replace('-', ' ')} " in text for command in helps.COMMANDS[1:])
    assert "0 done 1 some of it failed 2 the command line is wrong 3 the service cannot be reached 4 not found" in text


@pytest.mark.parametrize("command", helps.COMMANDS)
def test_the_documentation_shows_the_help_as_it_is(command):
    """`make docs` renews it."""
    text = helps.PAGE.read_text()
    assert helps.fresh(text, command) == text


@pytest.mark.parametrize("command", helps.COMMANDS)
def test_help_shows_no_type_for_options_without_a_value(command):
    text = helps.help_of(command)
    assert not re.search(r"<\w+>", text)
    assert "--help" in text


def test_help_starts_fast(lonely_cli):
    """Less than 0.4 s; the fastest of several, as others use the machine too."""
    assert min(seconds(lonely_cli, "--help") for _ in range(5)) < 0.4


def seconds(cli, *arguments):
    before = time.perf_counter()
    cli(*arguments)
    return time.perf_counter() - before


def test_no_arguments_is_help(lonely_cli):
    assert lonely_cli().status == 0
    assert "Usage: kt-images" in lonely_cli().out


def test_version(lonely_cli):
    assert re.fullmatch(r"kt-images \d+\.\d+\.\d+\S*\n", lonely_cli("--version").out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_script(lonely_cli, shell):
    result = lonely_cli("completion", shell)
    assert (result.status, result.err) == (0, "")
    assert "_KT_IMAGES_COMPLETE" in result.out


def test_completion_completes_in_bash(lonely_cli):
    script = """
        eval "$(kt-images completion bash)"
        COMP_WORDS=(kt-images li) COMP_CWORD=1
        _kt_images_completion kt-images
        echo "${COMPREPLY[@]}"
    """
    program = Path(sys.executable).parent
    environment = lonely_cli.variables | {"PATH": f"{program}:{lonely_cli.variables['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["list"]


@pytest.fixture
def completed(cli):
    """Complete the last of these words, as bash does after its script was evaluated."""

    def complete(*words):
        script = """
            eval "$(kt-images completion bash)"
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _kt_images_completion kt-images
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        environment = cli.variables | {"PATH": f"{Path(sys.executable).parent}:{cli.variables['PATH']}"}
        command = ["bash", "-c", script, "bash", "kt-images", *map(shlex.quote, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=cli.home)
        assert done.stderr == ""
        return done.stdout.splitlines() if done.stdout.strip() else []

    return complete


def test_completion_completes_tags(cli, service, completed, tmp_path):
    (tmp_path / "a file").touch()
    service.create(
        "a.jpg", "beach", "new york", "newer", "new$(touch pwned)", "new`touch pwned`", "new'", "new:er", "b*"
    )
    service.create("b.jpg", "newer")
    assert completed("list", "--tag", "bea") == ["beach"]
    assert completed("list", "--none", "new") == ["newer", "new\\ york"]  # the most common first
    assert completed("tag", "1", "+bea") == ["+beach"]
    assert completed("tag", "1", "bea") == []
    assert completed("rename-tag", "bea") == ["beach"]
    assert completed("tags", "ne")[0] == "newer"
    assert completed("list", "--tag", "nothing") == []
    address = cli.server
    cli.server = "http://127.0.0.1:1"
    assert completed("list", "--tag", "bea") == []
    assert completed("list", "--server", address, "--tag", "bea") == ["beach"]
    assert completed("--server", address, "list", "--tag", "bea") == ["beach"]
    assert not (tmp_path / "pwned").exists()


def test_completion_does_not_wait_for_a_slow_service(cli, completed):
    with Silent() as slow:
        cli.server = slow.url
        assert completed("list", "--tag", "bea") == []  # and not after minutes


class Silent(StandIn):
    """Reads a request and never answers."""

    def finish_request(self, request, _address):
        request.recv(65536)
        request.recv(65536)


def test_completion_completes_shells(lonely_cli):
    lonely_cli.environment |= {
        "_KT_IMAGES_COMPLETE": "complete_bash",
        "COMP_WORDS": "kt-images completion z",
        "COMP_CWORD": "2",
    }
    assert lonely_cli().out.split() == ["zsh"]


def test_serve_is_the_service(lonely_cli, service):
    """In the same process: who ends `kt-images serve` ends the service."""
    store = service.folder / "images"  # the database knows its store
    arguments = ["--postgres_dsn", service.dsn, "--uploads_dir", store, "--port", "0", "--host", "127.0.0.1"]
    with lonely_cli.start("serve", *arguments) as process:
        url = re.search(rb"http://[\d.:]+", process.stdout.readline())[0].decode()
        with urllib.request.urlopen(f"{url}/healthz") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_client_needs_no_package_of_the_server(lonely_cli, tmp_path):
    """What only the extra `server` installs cannot be imported; the client works all the same."""
    names = {extra: {re.split("[><=]", one)[0] for one in PROJECT["optional-dependencies"][extra]} for extra in EXTRAS}
    assert PROJECT["dependencies"] == []
    for name in names["server"] - names["cli"] - {"pydantic"}:  # pydantic is typer's own
        module = {"pillow": "PIL", "psycopg2-binary": "psycopg2"}.get(name, name.replace("-", "_"))
        (tmp_path / f"{module}.py").write_text("raise ImportError('a package of the server')")
    lonely_cli.environment["PYTHONPATH"] = f"{tmp_path}:{lonely_cli.variables.get('PYTHONPATH', '')}"
    (tmp_path / "a.png").touch()
    for command in (["list"], ["add", "a.png"], ["get", "1"], ["tag", "1", "+a"]):
        assert lonely_cli(*command).err.splitlines()[-1].endswith("Connection refused")


def test_client_without_its_packages_says_what_to_install(lonely_cli, tmp_path):
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(name='typer')")
    lonely_cli.environment["PYTHONPATH"] = f"{tmp_path}:{lonely_cli.variables.get('PYTHONPATH', '')}"
    result = lonely_cli("list")
    assert result.status == 1
    assert result.err == "typer is not installed; in a checkout of kt-images: pipx install './api[cli]'\n"


def test_requirements_are_those_of_the_extra_server():
    assert (ROOT / "api" / "requirements.txt").read_text().splitlines() == PROJECT["optional-dependencies"]["server"]


NOBODY = """
import pwd

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
"""


@pytest.mark.parametrize("arguments", [["list"], ["add", "a.png", "--tag", "x"], ["get", "1"], ["tag", "1", "+a"]])
def test_it_runs_without_a_home_and_on_a_dumb_terminal(cli, service, picture, tmp_path, arguments):
    """As in a container, under an account that has no name."""
    picture("a.png", 1)
    cli("add", "a.png")
    (tmp_path / "account").mkdir()
    (tmp_path / "account" / "sitecustomize.py").write_text(NOBODY)
    path = f"{tmp_path / 'account'}:{cli.variables.get('PYTHONPATH', '')}"
    environment = {"PATH": cli.variables["PATH"], "TERM": "dumb", "KT_IMAGES_SERVER": service.url, "PYTHONPATH": path}
    ours, theirs = pty.openpty()
    process = cli.start(*arguments, **dict.fromkeys(("stdin", "stdout", "stderr"), theirs), env=environment)
    os.close(theirs)
    text = Terminal(process, ours).read_until()
    os.close(ours)
    assert process.wait(30) == 0, text
    assert "\x1b" not in text
