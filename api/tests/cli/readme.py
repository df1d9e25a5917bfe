"""The README's copies of `kt-images … --help`. Run it (`make readme`) to write them anew."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = ROOT / "api" / "docs" / "client.md"
COMMANDS = ["", "add", "list", "show", "get", "tag", "rm", "open", "serve", "completion"]


def help_of(command: str) -> str:
    """Return the help of a command, of all of them for the empty one."""
    program = Path(sys.executable).with_name("kt-images")
    # No locale, no width and no colour of whoever runs it.
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment |= {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "PYTHONUTF8": "1", "TERM": "dumb"}
    shown = subprocess.run(
        [program, *command.split(), "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    return "\n".join(line.rstrip() for line in shown.stdout.splitlines()).strip("\n")


def fresh(text: str, command: str) -> str:
    """Return the README with the help of the command as it is now."""
    marker = f"<!-- kt-images {f'{command} --help'.strip()} -->\n```\n"
    before, marker, rest = text.partition(marker)
    assert marker, f"The README does not show the help of kt-images {command}"
    return before + marker + help_of(command) + rest[rest.index("\n```\n") :]


if __name__ == "__main__":
    text = README.read_text()
    for one in COMMANDS:
        text = fresh(text, one)
    README.write_text(text)
