"""`import`: lines of JSON, or a table, become images."""

import asyncio
import csv
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from kt_images.cli import output, tags
from kt_images.cli.errors import CliError, MisusedError, Status
from kt_images.cli.names import shown
from kt_images.cli.work import run
from kt_images.client import Client, Imported, IncompleteImportError, Refused, UnreachableError

PIECE = 500  # lines that are sent together
PAUSE = 1.0  # seconds between two attempts
COLUMNS = ("image_id", "filename", "tags")  # of a table, as `list --csv` writes them
STDIN = Path("-")


@dataclass
class Options:
    """Where the lines are, of which kind, how many to leave out, and how long to wait for the service."""

    source: Path
    is_table: bool
    skip: int
    patience: float


def import_(server: str, options: Options) -> Status:
    """Import the file, going on by itself after the connection broke. Raises CliError."""
    return run(_import(server, options))


async def _import(server: str, options: Options) -> Status:
    total = Imported(options.skip, 0, 0)
    loop = asyncio.get_running_loop()
    until = loop.time() + options.patience
    async with Client(server) as client:
        while True:
            before, told = total, Imported(0, 0, 0)

            def progress(now: Imported, before: Imported = before) -> None:
                nonlocal told
                told = now
                lines = before.lines + now.lines
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r{output.counted(lines, 'line')}, {before.stored + now.stored:,} stored")

            def refused(line: Refused, before: Imported = before) -> None:
                output.say(f"Line {before.lines + line.line:,}: {shown(line.error)}")

            try:
                with _opened(options.source) as file:
                    lines = islice(_rows(file) if options.is_table else map(_without_id, file), before.lines, None)
                    end = await client.import_images(_pieces(lines), progress, refused)
            except (IncompleteImportError, UnreachableError) as error:
                total = _sum(before, told)
                if told.lines:
                    until = loop.time() + options.patience
                if options.source == STDIN or loop.time() > until:
                    raise CliError(f"{error}. To go on: kt-images import --skip {total.lines} …") from error
                await asyncio.sleep(PAUSE)
            else:
                break
    total = _sum(before, end)
    if sys.stderr.isatty():
        sys.stderr.write("\r")
    output.say(f"{output.counted(total.stored, 'image')} stored, {output.counted(total.failed, 'line')} refused")
    return Status.FAILED if total.failed else Status.DONE


def _sum(one: Imported, other: Imported) -> Imported:
    return Imported(one.lines + other.lines, one.stored + other.stored, one.failed + other.failed)


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    if source == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = source.open("rb")
    except OSError as error:
        raise MisusedError(f"{source} cannot be read: {error.strerror}") from None
    with file:
        yield file


async def _pieces(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the lines, many at a time. Raises what `lines` raises, after the lines before it."""
    failure = None
    while failure is None:
        piece, failure = await asyncio.to_thread(_piece, lines)
        yield piece
        if not piece:
            break
    if failure:
        raise failure


def _piece(lines: Iterator[bytes]) -> tuple[bytes, CliError | None]:
    """Return the next lines, which are empty at the end, and what went wrong behind them."""
    found: list[bytes] = []
    try:
        found.extend(islice(lines, PIECE))
    except CliError as error:
        return b"".join(found), error
    except OSError as error:
        return b"".join(found), CliError(f"The lines cannot be read: {error.strerror}")
    return b"".join(found), None


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
