"""`import`: lines become images."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from kt_images.cli import output
from kt_images.cli.errors import CliError, Status
from kt_images.cli.lines import opened
from kt_images.cli.names import shown
from kt_images.cli.service import service
from kt_images.cli.work import run
from kt_images.client import Client, Imported, IncompleteImportError, Refused, UnreachableError
from kt_images.client.errors import NeverReachedError

PIECE = 500  # lines that are sent together
PAUSE = 1.0  # seconds between two attempts
LAST_SECONDS = 10.0  # after Ctrl-C, for the service to say how far it is; a second Ctrl-C does not wait


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
    done = _Done(options)
    work = asyncio.ensure_future(_persist(server, options, done))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:  # by Ctrl-C
        done.is_stopped = True
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(work, return_exceptions=True), LAST_SECONDS)
        done.clear()
        output.say(done.how_to_go_on)
        raise
    except CliError:
        done.clear()
        raise
    done.clear()
    output.say(f"{output.counted(done.stored, 'image')} stored, {output.counted(done.failed, 'line')} refused")
    return Status.FAILED if done.failed else Status.DONE


class _Done:
    """What is done by now, over all attempts, and how to go on from there."""

    def __init__(self, options: Options) -> None:
        self.lines, self.stored, self.failed = options.skip, 0, 0
        self.is_stopped = False
        self._before = (self.lines, 0, 0)
        self._options = options

    def begin(self) -> None:
        """Begin an attempt, which counts from where the last one ended."""
        self._before = (self.lines, self.stored, self.failed)

    def progress(self, now: Imported) -> None:
        """Add what the attempt has done by now."""
        lines, stored, failed = self._before
        self.lines, self.stored, self.failed = lines + now.lines, stored + now.stored, failed + now.failed
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{output.counted(self.lines, 'line')}, {self.stored:,} stored")

    def refused(self, line: Refused) -> None:
        """Name a line that the service refuses."""
        self.clear()
        output.say(f"Line {self._before[0] + line.line:,}: {shown(line.error)}")

    def clear(self) -> None:
        """Erase the progress, if standard error is a terminal."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    @property
    def how_to_go_on(self) -> str:
        """The command that leaves out what is done."""
        table = "--csv " if self._options.is_table else ""
        name = shlex.quote(str(self._options.source))
        command = f"kt-images import {table}--skip {self.lines} {name}"
        same = "" if self._options.source.is_file() else ", with the same lines"
        return f"{output.counted(self.lines, 'line')} are done with; to go on: {command}{same}"


async def _persist(server: str, options: Options, done: _Done) -> None:
    async with service(server) as client:
        await _attempts(client, options, done)


async def _attempts(client: Client, options: Options, done: _Done) -> None:
    """Import the lines, and go on after each break if they can be read again, until the patience ends."""
    loop = asyncio.get_running_loop()
    until = loop.time() + options.patience
    while True:
        done.begin()
        begun_at = done.lines
        try:
            with opened(options.source, is_table=options.is_table) as lines:
                rest = _pieces(islice(lines, begun_at, None), done)
                done.progress(await client.import_images(rest, done.progress, done.refused))
                return
        except NeverReachedError:
            raise
        except (IncompleteImportError, UnreachableError) as error:
            if done.lines > begun_at:
                until = loop.time() + options.patience
            if done.is_stopped or not options.source.is_file() or loop.time() > until:
                status = Status.UNREACHABLE if isinstance(error, UnreachableError) else Status.FAILED
                reason = "The import broke off" if isinstance(error, IncompleteImportError) else str(error)
                raise CliError(f"{reason}; {done.how_to_go_on}", status) from error
            await asyncio.sleep(PAUSE)


async def _pieces(lines: Iterator[bytes], done: _Done) -> AsyncIterator[bytes]:
    """Yield the lines, many at a time, until it is stopped. Raises what `lines` raises, after the lines before it."""
    failure = None
    while failure is None and not done.is_stopped:
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
