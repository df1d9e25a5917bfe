"""Standard output, which may be a closed pipe, and standard error."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.json import Encoder

from kt_images.cli.errors import CliError, ClosedOutputError
from kt_images.cli.names import shown, shown_lines

_ENCODER = Encoder()

CLOSED = {errno.EPIPE, errno.EINVAL}  # EINVAL on Windows


def prepare() -> None:
    """Make both writable even if the shell has closed them or their encoding lacks some characters."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (open until the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def write(text: str) -> None:
    """Write to standard output, buffered. Raises ClosedOutputError, and CliError if it is full."""
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _meaning(error) from error


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output. Raises ClosedOutputError, and CliError if it is full."""
    try:
        sys.stdout.buffer.write(data)
    except OSError as error:
        raise _meaning(error) from error


def flush() -> None:
    """Write out what is buffered. Raises ClosedOutputError, and CliError if standard output is full."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _meaning(error) from error


def as_json(values: Sequence[Any]) -> str:
    """Return each value as a line of JSON, harmless on a terminal."""
    lines = _ENCODER.encode_lines(values)
    # It has escaped all below the space; looking for one byte takes less than looking at all.
    return lines.decode() if lines.isascii() and b"\x7f" not in lines else shown_lines(lines.decode())


def counted(number: int, noun: str) -> str:
    """Return `1 image`, `2,000 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say(sentence: str) -> None:
    """Write a line to standard error, if there is one."""
    with contextlib.suppress(OSError):  # there is nobody left to read it
        sys.stderr.write(f"{shown(sentence)}\n")
        sys.stderr.flush()


def discard() -> None:
    """Discard what is still buffered, so that the interpreter exits quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _meaning(error: OSError) -> Exception:
    if error.errno in CLOSED:
        return ClosedOutputError()
    return CliError(f"Standard output cannot be written: {error.strerror}")
