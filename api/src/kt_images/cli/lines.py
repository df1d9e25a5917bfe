"""The lines of an import: JSON as it is in a file, or made of the rows of a table."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kt_images.cli import tags
from kt_images.cli.errors import CliError, MisusedError
from kt_images.cli.names import shown

COLUMNS = ("image_id", "filename", "tags")  # of a table, as `list --csv` writes them
STDIN = Path("-")


@contextmanager
def opened(source: Path, *, is_table: bool) -> Iterator[Iterator[bytes]]:
    """Give the lines of the file, or of standard input. Raises MisusedError, while they are read also CliError."""
    with _file(source) as file:
        yield _rows(file) if is_table else map(_without_id, file)


@contextmanager
def _file(source: Path) -> Iterator[BinaryIO]:
    if source == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = source.open("rb")
    except OSError as error:
        raise MisusedError(f"{source} cannot be read: {error.strerror}") from None
    with file:
        yield file


def _rows(file: BinaryIO) -> Iterator[bytes]:
    """Return the rows of a table (RFC 4180) as lines of JSON. Raises MisusedError for other columns than ours."""
    rows = csv.reader(line.decode("utf-8-sig", "surrogateescape") for line in file)
    try:
        names = next(rows, [])
    except csv.Error:
        names = []
    if "filename" not in names:
        raise MisusedError("The table needs a first line with the names of its columns: filename, and tags if any")
    if unknown := [name for name in names if name not in COLUMNS]:
        raise MisusedError(f"There is no column {shown(unknown[0][:40])!r}; a table has {', '.join(COLUMNS)}")
    return _json_lines(rows, names)


def _json_lines(rows: Iterator[list[str]], names: list[str]) -> Iterator[bytes]:
    """Yield a line for each row; an empty one for the header, too, so that the service counts as an editor does."""
    yield b"\n"
    try:
        for row in rows:
            yield _as_json(row, names) if row else b"\n"
    except csv.Error as error:
        raise CliError(f"The table is malformed: {error}") from error


def _as_json(row: list[str], names: list[str]) -> bytes:
    """Return a row as JSON. Cells beyond the header get a key that the service refuses."""
    keys = [*names, *(f"column {number}" for number in range(len(names) + 1, len(row) + 1))]
    image: dict[str, object] = dict(zip(keys, row, strict=False))
    image.pop("image_id", None)
    return json.dumps(image | {"tags": tags.parted(str(image.get("tags", "")))}).encode() + b"\n"


def _without_id(line: bytes) -> bytes:
    """Return the line without the id that `list --ndjson` writes: the service gives each image a new one."""
    if b'"image_id"' in line:
        try:
            image = json.loads(line)
            image.pop("image_id", None)
            return json.dumps(image).encode() + b"\n"
        except (ValueError, AttributeError, RecursionError):
            pass  # the service says what is wrong with it
    return line if line.endswith(b"\n") else line + b"\n"
