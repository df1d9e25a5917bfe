"""The list of images: read ahead of the client, but no further, and without holding a connection for it.

A cursor in a short transaction reads chunks, one ahead of the client. A client that does not take its chunk within the
lease gets the connection taken away; when it comes back, a new cursor goes on after the last image that it was given.
A database that restarts, or another that takes over, is the same case. What is kept for a client is one chunk of text.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from itertools import accumulate

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError, UnavailableError
from kt_images.models import Image, Selection

CONDITIONS = {
    "tags_all": "and tags @> %(tags_all)s::text[]",
    "tags_any": "and tags && %(tags_any)s::text[]",
    "tags_none": "and not tags && %(tags_none)s::text[]",
}

# One message, and so one round trip, to the first chunk.
OPEN = """
    begin;
    set local cursor_tuple_fraction = {fraction};
    declare list no scroll cursor for
        select document from images
        where image_id > %(after)s {conditions}
        order by image_id
        limit %(limit)s;
    fetch forward {size} from list
"""

FETCH = "fetch forward {size} from list"

CLOSE = "rollback"

# The share of a cursor's rows to plan for. By default PostgreSQL plans for the first tenth: right for a client that
# takes the list in small steps, but a whole filtered list takes up to 20 times as long.
WHOLE_LIST, FIRST_STEPS = 1.0, 0.1


# A chunk's length at most, and that of a large chunk on the average image. Images with dozens of long tags are given in
# smaller chunks: what is held for a client must not depend on what others have stored.
MOST_BYTES = 512 * 1024
MOST_BYTES_PER_IMAGE = 256
LONGEST_CHARACTER = 4  # bytes, in UTF-8


@dataclass(frozen=True)
class Pace:
    """How a stream treats its client and its database.

    `size`: images in a chunk. `lease`: seconds that a connection waits for a client that isn't reading, `crowded_lease`
    when others wait for a connection. `patience`: seconds that a stream waits for a database that has gone. `pause`:
    seconds between two attempts.
    """

    size: int = 1000
    lease: float = 1.0
    crowded_lease: float = 0.05
    patience: float = 30.0
    pause: float = 0.1


@dataclass(frozen=True)
class Chunk:
    """`count` images as they go out; `last` is the id of the last one."""

    body: bytes
    count: int
    last: int


# Makes the bytes that go out of some images' JSON texts. Made here, at once: nothing else of a chunk is kept.
Render = Callable[[list[str]], bytes]


async def chunks(pool: Pool, wanted: Selection, render: Render, pace: Pace) -> AsyncGenerator[Chunk, None]:
    """Yield the images that are `wanted`, by ascending id.

    Each chunk but the last holds `pace.size` images, fewer where they are uncommonly long. An image is given at most
    once, and exactly once if it exists and matches from the start to the end. Raises UnavailableError and TooSlowError.
    To be closed with `aclosing()`.
    """
    reader = _Reader(pool, wanted, render, pace)
    reading = asyncio.create_task(reader.run())
    try:
        while chunk := await reader.next():
            yield chunk
            del chunk  # the next one comes while its memory is free already
    finally:
        reading.cancel()
        await asyncio.wait([reading])


class _Reader:
    """Reads a list ahead of its client: in stretches, each with a cursor, a connection and a transaction of its own."""

    def __init__(self, pool: Pool, wanted: Selection, render: Render, pace: Pace) -> None:
        self._pool, self._wanted, self._render, self._pace = pool, wanted, render, pace
        self._tuple_fraction = WHOLE_LIST
        self._size = pace.size
        self._room = max(MOST_BYTES, pace.size * MOST_BYTES_PER_IMAGE)
        self._started = False
        self._gone_since: float | None = None
        # The chunk that the client has not taken yet, or how the list ended: None, or what went wrong.
        self._ahead: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue(maxsize=1)

    async def next(self) -> Chunk | None:
        """Take the chunk that lies ready, None at the end of the list. Raises what kept the list from ending."""
        chunk = await self._ahead.get()
        self._ahead.task_done()
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def run(self) -> None:
        """Read to the end, from one stretch to the next, whatever interrupts."""
        try:
            while not await self._patiently():
                # Until the client reads on, one chunk is all that is held for it.
                await self._ahead.join()
            await self._ahead.put(None)
        except Exception as error:  # noqa: BLE001 (raised again where the chunks are awaited)
            await self._ahead.put(error)

    async def _patiently(self) -> bool:
        """Read a stretch; when the database goes away, wait for it and go on."""
        now = asyncio.get_running_loop().time
        while True:
            try:
                return await self._stretch()
            except UnavailableError:
                self._gone_since = self._gone_since or now()
                if not self._started or now() - self._gone_since > self._pace.patience:
                    raise
                await asyncio.sleep(self._pace.pause)

    async def _stretch(self) -> bool:
        """Read as long as the client takes each chunk within the lease; tell whether the end was reached."""
        async with self._pool.connection() as connection:
            asked = self._size
            _open_cursor(connection, self._wanted, self._tuple_fraction, asked)
            more, taken = True, True
            while more and taken:
                documents = [row[0] for row in await connection.receive()]
                self._started, self._gone_since = True, None
                if (fitting := self._fitting(documents)) < len(documents):
                    # Too long for one chunk: the rest is read again, in smaller ones.
                    self._size = fitting
                    await self._offer(documents[:fitting])
                    await _close_cursor(connection, pending=False)
                    return False
                if more := len(documents) == asked:
                    # The server works on the next chunk while this one is rendered and sent.
                    asked = self._size
                    connection.send(FETCH.format(size=asked))
                if documents:
                    taken = await self._offer(documents)
            await _close_cursor(connection, pending=more)
        return not more

    def _fitting(self, documents: list[str]) -> int:
        """Return how many of the documents one chunk can hold; at least one."""
        if LONGEST_CHARACTER * sum(map(len, documents)) <= self._room:
            return len(documents)
        lengths = accumulate(len(document.encode()) for document in documents)
        return max(1, sum(length <= self._room for length in lengths))

    async def _offer(self, documents: list[str]) -> bool:
        """Lay the next chunk ready; tell whether the client takes it within the lease."""
        chunk = Chunk(self._render(documents), len(documents), Image.model_validate_json(documents[-1]).image_id)
        self._wanted = _rest(self._wanted, chunk)
        self._ahead.put_nowait(chunk)
        if 2 * len(chunk.body) < self._room:
            self._size = min(2 * self._size, self._pace.size)
        try:
            async with asyncio.timeout(self._pace.crowded_lease if self._pool.is_crowded else self._pace.lease):
                await self._ahead.join()
        except TimeoutError:
            self._tuple_fraction = FIRST_STEPS
            return False
        return True


def _open_cursor(connection: Connection, wanted: Selection, fraction: float, size: int) -> None:
    conditions = " ".join(condition for tags, condition in CONDITIONS.items() if getattr(wanted, tags))
    connection.send(OPEN.format(fraction=fraction, conditions=conditions, size=size), wanted.model_dump())


async def _close_cursor(connection: Connection, *, pending: bool) -> None:
    # A session that is lost here is not used again; the list does not need it any more.
    with contextlib.suppress(KtImagesError):
        if pending:
            await connection.receive()
        await connection.query(CLOSE)


def _rest(wanted: Selection, given: Chunk) -> Selection:
    """What is still wanted once `given` was given."""
    # PostgreSQL plans for a limit's rows, however many, and not for the cursor's first steps: none must stay none.
    limit = None if wanted.limit is None else wanted.limit - given.count
    return wanted.model_copy(update={"after": given.last, "limit": limit})
