"""An import: lines that become images, sent while the answer tells how far it is."""

from collections.abc import AsyncIterable, Callable
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Decoder

from kt_images.client.connection import Connection
from kt_images.client.errors import IncompleteImportError
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

    Raises IncompleteImportError, which has the lines that are done with, when it breaks off.
    """
    done = Imported(0, 0, 0)
    headers = {"Content-Type": "application/x-ndjson"}
    async with connection.answer("POST", "images", headers=headers, data=lines) as response:
        async for several in whole_lines(connection, response):
            for line in several.splitlines():
                try:
                    told = _read(line)
                except MALFORMED:
                    raise connection.unexpected() from None
                if told.total_lines is not UNSET:
                    return Imported(told.total_lines, told.total_images, told.total_errors)
                if told.line is not UNSET:
                    refused(Refused(told.line, told.error))
                elif told.lines is not UNSET:
                    done = Imported(told.lines, told.stored, told.failed)
                    progress(done)
    raise IncompleteImportError(done.lines)


def nothing(_: Any) -> None:
    """Tell nobody."""
