"""The copies of `kt-images … --help` in api/docs/client.md. `make docs` runs this file to renew them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "api" / "docs" / "client.md"
COMMANDS = [
    "",
    "add",
    "import",
    "list",
    "count",
    "export",
    "tags",
    "show",
    "get",
    "tag",
    "rename-tag",
    "rename",
    "rm",
    "open",
    "login",
    "logout",
    "keys",
    "keys list",
    "keys create",
    "keys rotate",
    "keys revoke",
    "serve",
    "completion",
]


def help_of(command: str) -> str:
    """Return the help of a command; that of kt-images itself for the empty one."""
    program = Path(sys.executable).with_name("kt-images")
    # Without the locale, width and colours of the user.
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment |= {"COLUMNS": "100", "PYTHONUTF8": "1", "TERM": "dumb"}
    shown = subprocess.run(
        [program, *command.split(), "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    return "\n".join(line.rstrip() for line in shown.stdout.splitlines()).strip("\n")


def fresh(text: str, command: str) -> str:
    """Return the page with the command's present help."""
    marker = f"<!-- kt-images {f'{command} --help'.strip()} -->\n```\n"
    before, marker, rest = text.partition(marker)
    assert marker, f"The page does not show the help of kt-images {command}"
    return before + marker + help_of(command) + rest[rest.index("\n```\n") :]


if __name__ == "__main__":
    text = PAGE.read_text()
    for one in COMMANDS:
        text = fresh(text, one)
    PAGE.write_text(text)
