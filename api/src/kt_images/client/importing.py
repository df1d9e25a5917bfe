"""An import: lines that become images, sent while the answer tells how far it is."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Decoder

from kt_images.client.connection import Connection
from kt_images.client.errors import ConnectionBrokenError, IncompleteImportError
from kt_images.client.images import MALFORMED
from kt_images.client.listing import whole_lines


class Refused(Struct, frozen=True):
    """A line that the service refuses: its number, from 1, and why."""

    line: int
    error: str


class Imported(Struct, frozen=True):
    """So many lines are done with, so many images stored, and so many lines refused."""

    lines: int
    stored: int
    failed: int


class _Told(Struct, rename={"total_lines": "totalLines", "total_images": "totalImages", "total_errors": "totalErrors"}):
    """Any line of the answer."""

    line: int | UnsetType = UNSET
    error: str = ""
    lines: int | UnsetType = UNSET
    stored: int = 0
    failed: int = 0
    total_lines: int | UnsetType = UNSET
    total_images: int = 0
    total_errors: int = 0


_read = Decoder(_Told).decode


async def send(
    connection: Connection,
    lines: AsyncIterable[bytes],
    progress: Callable[[Imported], None],
    refused: Callable[[Refused], None],
) -> Imported:
    """Import the lines, which come in pieces of any size.

    If it breaks off, raises IncompleteImportError, which has the lines that are done with. An error of `lines` itself
    is raised once the lines before it are done with.
    """
    body, reading = _Body(lines), _Reading(progress, refused)
    headers = {"Content-Type": "application/x-ndjson"}
    try:
        async with connection.answer("POST", "images", headers=headers, data=body.pieces()) as response:
            async for several in whole_lines(connection, response):
                if not reading.takes(several, body.lines):
                    raise connection.unexpected()
    except ConnectionBrokenError as error:
        raise IncompleteImportError(reading.done.lines) from error
    if reading.end is None:
        raise IncompleteImportError(reading.done.lines)
    if body.failure:
        raise body.failure
    if reading.end.lines != body.lines:
        raise connection.unexpected()
    return reading.end


class _Body:
    """What is sent: how many lines so far, one that has no end included, and why it ended early."""

    def __init__(self, lines: AsyncIterable[bytes]) -> None:
        self._source, self._ends, self._is_open = lines, 0, False
        self.failure: Exception | None = None

    @property
    def lines(self) -> int:
        return self._ends + self._is_open

    async def pieces(self) -> AsyncIterator[bytes]:
        # What is raised here would look like a broken connection.
        try:
            async for piece in self._source:
                if piece:
                    self._ends += piece.count(b"\n")
                    self._is_open = not piece.endswith(b"\n")
                    yield piece
        except Exception as error:  # noqa: BLE001 (whatever it is, `send` raises it)
            self.failure = error


class _Reading:
    """What the lines of an answer have said so far."""

    def __init__(self, progress: Callable[[Imported], None], refused: Callable[[Refused], None]) -> None:
        self.done = Imported(0, 0, 0)
        self.end: Imported | None = None
        self._progress, self._refused = progress, refused

    def takes(self, lines: bytes, sent: int) -> bool:
        """Take lines; return False if they are not such as the service sends after so many lines."""
        return all(self._takes(line, sent) for line in lines.split(b"\n"))

    def _takes(self, line: bytes, sent: int) -> bool:
        try:
            told = _read(line)
        except MALFORMED:
            return False
        if self.end:
            return False  # it is the last line
        if told.total_lines is not UNSET:
            self.end = Imported(told.total_lines, told.total_images, told.total_errors)
            return self._is_likely(self.end, sent)
        if told.line is not UNSET:
            self._refused(Refused(told.line, told.error))
            return 1 <= told.line <= sent
        if told.lines is UNSET or not self._is_likely(now := Imported(told.lines, told.stored, told.failed), sent):
            return False
        self.done = now
        self._progress(now)
        return True

    def _is_likely(self, now: Imported, sent: int) -> bool:
        before = self.done
        grows = before.lines <= now.lines <= sent and before.stored <= now.stored and before.failed <= now.failed
        return grows and now.stored + now.failed <= now.lines


def nothing(_: Any) -> None:
    """Tell nobody."""
