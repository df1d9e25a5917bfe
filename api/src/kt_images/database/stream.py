"""The list of images: read ahead of the client, but no further, and without holding a connection for it.

A cursor in a short transaction reads chunks, one ahead of the client. A client that does not take its chunk within the
lease gets the connection taken away; when it comes back, a new cursor goes on after the last image that it was given.
A database that restarts, or another that takes over, is the same case. What is kept for a client is one chunk of text.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import UnavailableError
from kt_images.models import Image, ImageFilter

CONDITIONS = {
    "tags_all": "tags @> %(tags_all)s::text[]",
    "tags_any": "tags && %(tags_any)s::text[]",
    "tags_none": "not tags && %(tags_none)s::text[]",
}

DECLARE = """
    declare list no scroll cursor for
    select document from images
    where image_id > %(after)s {conditions}
    order by image_id
    limit %(limit)s
"""

# Without it PostgreSQL plans for the first tenth, and a filtered list takes up to 20 times as long.
WHOLE_RESULT = "set local cursor_tuple_fraction = 1.0"

FETCH = "fetch forward {size} from list"


@dataclass(frozen=True)
class Pace:
    """How a stream treats its client and its database.

    `size`: images in a chunk. `lease`: seconds that a connection waits for a client that isn't reading.
    `patience`: seconds that a stream waits for a database that has gone. `pause`: seconds between two attempts.
    """

    size: int = 1000
    lease: float = 1.0
    patience: float = 30.0
    pause: float = 0.1


@dataclass(frozen=True)
class Chunk:
    """`count` images as JSON texts, joined by the stream's separator; `last` is the id of the last one."""

    documents: bytes
    count: int
    last: int


async def chunks(pool: Pool, wanted: ImageFilter, separator: str, pace: Pace) -> AsyncGenerator[Chunk, None]:
    """Yield the images that are `wanted`, by ascending id; each chunk but the last holds `pace.size`.

    An image is given at most once, and exactly once if it exists and matches from the start to the end. Raises
    UnavailableError and TooSlowError. To be closed with `aclosing()`.
    """
    ahead: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue(maxsize=1)
    reader = asyncio.create_task(_read(pool, wanted, separator, pace, ahead))
    try:
        while chunk := await ahead.get():
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
    finally:
        reader.cancel()
        await asyncio.wait([reader])


async def _read(
    pool: Pool, wanted: ImageFilter, separator: str, pace: Pace, ahead: asyncio.Queue[Chunk | Exception | None]
) -> None:
    """Put the chunks into `ahead`, and at the end None or what went wrong."""
    loop = asyncio.get_running_loop()
    started, gone_since, in_a_hurry = False, None, True
    while True:
        parked = None
        try:
            async with pool.transaction() as connection:
                await _open_cursor(connection, wanted, in_a_hurry)
                while chunk := await _fetch(connection, separator, pace.size):
                    started, gone_since = True, None
                    wanted = _rest(wanted, chunk)
                    try:
                        async with asyncio.timeout(pace.lease):
                            await ahead.put(chunk)
                    except TimeoutError:
                        parked, in_a_hurry = chunk, False
                        break
            if not parked:
                return await ahead.put(None)
        except UnavailableError as error:
            gone_since = gone_since or loop.time()
            if not started or loop.time() - gone_since > pace.patience:
                return await ahead.put(error)
            await asyncio.sleep(pace.pause)
        except Exception as error:  # noqa: BLE001 (raised again where the chunks are awaited)
            return await ahead.put(error)
        if parked:
            await ahead.put(parked)


async def _open_cursor(connection: Connection, wanted: ImageFilter, in_a_hurry: bool) -> None:
    if in_a_hurry:
        await connection.query(WHOLE_RESULT)
    conditions = [condition for tags, condition in CONDITIONS.items() if getattr(wanted, tags)]
    await connection.query(DECLARE.format(conditions="".join(f"and {c} " for c in conditions)), wanted.model_dump())


async def _fetch(connection: Connection, separator: str, size: int) -> Chunk | None:
    """Return the cursor's next chunk; None at its end."""
    rows = await connection.fetch(FETCH.format(size=size))
    if not rows:
        return None
    documents = [row[0] for row in rows]
    last = Image.model_validate_json(documents[-1]).image_id
    return Chunk(separator.join(documents).encode(), len(documents), last)


def _rest(wanted: ImageFilter, given: Chunk) -> ImageFilter:
    """What is still wanted once `given` was given."""
    limit = None if wanted.limit is None else wanted.limit - given.count
    return wanted.model_copy(update={"after": given.last, "limit": limit})
