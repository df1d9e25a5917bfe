"""A change of many images in one call: progress line by line, and at its end the outcome, which proves it is done."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from msgspec import Struct, ValidationError
from msgspec.json import Decoder

from kt_images.client.connection import Connection
from kt_images.client.errors import IncompleteChangeError
from kt_images.client.images import MALFORMED, ImageId
from kt_images.client.listing import whole_lines

# Called with how many images are done, and of how many.
Done = Callable[[int, int], None]


def nobody(_done: int, _total: int) -> None:
    """Tell nobody of the progress."""


class Failure(Struct, frozen=True):
    """An image that was not changed, and why."""

    image_id: ImageId
    error: str


class Outcome(Struct, frozen=True, rename="camel"):
    """How many images were looked at, changed, and left as they were because they would have too many tags."""

    total_images: int
    changed: int
    failed: int
    failures: list[Failure]
    """The first hundred."""


class _Progress(Struct, rename="camel"):
    done_images: int
    total_images: int


_read_outcome, _read_progress = Decoder(Outcome).decode, Decoder(_Progress).decode


async def change(connection: Connection, method: str, path: str, progress: Done, **options: Any) -> Outcome:
    """Send the change and follow its progress. Raises IncompleteChangeError when it breaks off; it can be repeated."""
    done = 0
    async with AsyncExitStack() as stack:

        async def attempt() -> aiohttp.ClientResponse:
            accept = {"Accept": "application/x-ndjson"}
            return await stack.enter_async_context(connection.answer(method, path, headers=accept, **options))

        response = await connection.repeat(attempt)
        async for lines in whole_lines(connection, response):
            for line in lines.splitlines():
                try:
                    told = _read(line)
                except MALFORMED:
                    raise connection.unexpected() from None
                if isinstance(told, Outcome):
                    return told
                done = told.done_images
                progress(done, told.total_images)
    raise IncompleteChangeError(f"The change broke off after {done:,} images; the same call again finishes it")


def _read(line: bytes) -> Outcome | _Progress:
    try:
        return _read_progress(line)
    except ValidationError:
        return _read_outcome(line)
