"""A streamed list: images line by line, and at its end the totals, which prove that it is complete."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from kt_images.client.connection import BROKEN, Connection
from kt_images.client.errors import IncompleteListError
from kt_images.client.images import Image

LONGEST_LINE = 2**20  # bytes; an image with as many and as long tags as it can have takes a tenth of it


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
            if lines and (total := _total(lines[-1])) is not None:
                lines.pop()
            if lines:
                count += len(lines)
                try:
                    images = [Image.of(line) for line in lines]
                except ValueError:
                    raise connection.unexpected() from None
                yield images
    if count != total:
        broke = f"The list broke off after {count:,} {'image' if count == 1 else 'images'}"
        raise IncompleteListError(f"{broke}: it is incomplete; run it again")


async def _lines(connection: Connection, response: aiohttp.ClientResponse) -> AsyncIterator[list[Any]]:
    """Yield the lines that have arrived, each a JSON value, even if the connection breaks after them."""
    rest = b""
    try:
        async for piece in response.content.iter_any():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise connection.unexpected()
            try:
                yield [json.loads(line) for line in lines]
            except (ValueError, RecursionError):
                raise connection.unexpected() from None
    except BROKEN:
        return  # the missing totals say it


def _total(line: Any) -> int | None:
    """The number of images, if the line is the totals; None for an image."""
    return line.get("totalImages") if isinstance(line, dict) else None
