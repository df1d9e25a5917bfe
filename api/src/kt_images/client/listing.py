"""A streamed list: images or tags line by line, and at its end the totals, which prove that it is complete."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Generic, TypeVar

import aiohttp
from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from kt_images.client.connection import BROKEN, Connection
from kt_images.client.errors import IncompleteListError
from kt_images.client.images import MALFORMED, read_images, read_tags

LONGEST_LINE = 2**20  # bytes; an image with as many and as long tags as it can have takes a tenth of it


class _ImageTotals(Struct, rename="camel"):
    total_images: int


class _TagTotals(Struct, rename="camel"):
    total_tags: int


T = TypeVar("T")

_read_image_totals, _read_tag_totals = Decoder(_ImageTotals).decode, Decoder(_TagTotals).decode


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a list is of: where it is, what reads its lines and its last one, and what its rows are called."""

    path: str
    read: Callable[[bytes], list[T]]
    read_total: Callable[[bytes], int]
    noun: str


IMAGES = Kind("images", read_images, lambda line: _read_image_totals(line).total_images, "image")
TAGS = Kind("tags", read_tags, lambda line: _read_tag_totals(line).total_tags, "tag")


async def batches(connection: Connection, kind: Kind[T], query: list[tuple[str, str]]) -> AsyncGenerator[list[T], None]:
    """Yield rows, as many at a time as have arrived; end normally only if the list is complete.

    Raises IncompleteListError. To be closed with `aclosing()` unless it is read to its end.
    """
    count, total = 0, None
    async with AsyncExitStack() as stack:

        async def attempt() -> aiohttp.ClientResponse:
            answer = connection.answer("GET", kind.path, params=query, headers={"Accept": "application/x-ndjson"})
            return await stack.enter_async_context(answer)

        response = await connection.repeat(attempt)
        async for lines in whole_lines(connection, response):
            try:
                rows, total = _read(kind, lines)
            except MALFORMED:
                raise connection.unexpected() from None
            if rows:
                count += len(rows)
                yield rows
    if count != total:
        broke = f"The list broke off after {count:,} {kind.noun}{'' if count == 1 else 's'}"
        raise IncompleteListError(f"{broke}: it is incomplete; run it again")


async def whole_lines(connection: Connection, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the whole lines that have arrived, even if the connection breaks after them."""
    rest = b""
    try:
        async for piece in response.content.iter_any():
            lines, end, rest = (rest + piece).rpartition(b"\n")
            if len(rest) > LONGEST_LINE:
                raise connection.unexpected()
            if end:
                yield lines
    except BROKEN:
        return  # the missing totals say it


def _read(kind: Kind[T], lines: bytes) -> tuple[list[T], int | None]:
    """Return the rows, and their total number if the last line has it. Raises MALFORMED."""
    try:
        return kind.read(lines), None
    except MsgspecError:  # the totals are no row; the other lines are read again, once in a list
        before, _, last = lines.rpartition(b"\n")
        total = kind.read_total(last)
        return kind.read(before), total
