"""A streamed list: images line by line, and at its end the totals, which prove that it is complete."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from kt_images.client.connection import BROKEN, Connection
from kt_images.client.errors import IncompleteListError
from kt_images.client.images import MALFORMED, Image, read_images

LONGEST_LINE = 2**20  # bytes; an image with as many and as long tags as it can have takes a tenth of it


class _Totals(Struct, rename="camel"):
    total_images: int


_read_totals = Decoder(_Totals).decode


async def batches(connection: Connection, query: list[tuple[str, str]]) -> AsyncGenerator[list[Image], None]:
    """Yield images, as many at a time as have arrived; end normally only if the list is complete.

    Raises IncompleteListError. To be closed with `aclosing()` unless it is read to its end.
    """
    count, total = 0, None
    async with AsyncExitStack() as stack:

        async def attempt() -> aiohttp.ClientResponse:
            answer = connection.answer("GET", "images", params=query, headers={"Accept": "application/x-ndjson"})
            return await stack.enter_async_context(answer)

        response = await connection.repeat(attempt)
        async for lines in _lines(connection, response):
            try:
                images, total = _read(lines)
            except MALFORMED:
                raise connection.unexpected() from None
            if images:
                count += len(images)
                yield images
    if count != total:
        broke = f"The list broke off after {count:,} {'image' if count == 1 else 'images'}"
        raise IncompleteListError(f"{broke}: it is incomplete; run it again")


async def _lines(connection: Connection, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
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


def _read(lines: bytes) -> tuple[list[Image], int | None]:
    """Return the images, and their total number if the last line has it. Raises MALFORMED."""
    try:
        return read_images(lines), None
    except MsgspecError:  # the totals are no image; the other lines are read again, once in a list
        before, _, last = lines.rpartition(b"\n")
        total = _read_totals(last).total_images
        return read_images(before), total
