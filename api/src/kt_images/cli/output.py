"""Standard output, which may be a pipe that closes, and standard error."""

import contextlib
import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from kt_images.cli.errors import CliError, ClosedOutputError
from kt_images.cli.names import shown

# Made once: json.dumps() makes an encoder for each call that is not its default.
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode

CLOSED = {errno.EPIPE, errno.EINVAL}  # the second is how Windows says it


def prepare() -> None:
    """Make both writable whatever the shell closed, and whatever letters the locale has."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (for as long as we run)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal() -> bool:
    """Tell whether somebody looks at standard output."""
    return sys.stdout.isatty()


def write(text: str) -> None:
    """Write to standard output, soon. Raises ClosedOutputError, and CliError when it is full."""
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _meaning(error) from error


def flush() -> None:
    """Write to standard output, now. Raises ClosedOutputError, and CliError when it is full."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _meaning(error) from error


def as_json(value: Any) -> str:
    """Return the value as JSON in one line, readable in any script, harmless on a terminal."""
    return shown(_ENCODE(value))


def counted(number: int, noun: str) -> str:
    """Return `1 image`, `2,000 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say(sentence: str) -> None:
    """Write a line to standard error, if there is one."""
    with contextlib.suppress(OSError):  # whom should it be told
        sys.stderr.write(f"{shown(sentence)}\n")
        sys.stderr.flush()


def forget() -> None:
    """Have what is still to be written go nowhere, so that the interpreter's end is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _meaning(error: OSError) -> Exception:
    if error.errno in CLOSED:
        return ClosedOutputError()
    return CliError(f"Standard output cannot be written: {error.strerror}")
