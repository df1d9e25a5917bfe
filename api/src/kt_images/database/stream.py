"""The list of images: read ahead of the client, but no further, and without holding a connection for it.

Theory of operation
-------------------

Two parties meet at a queue that has room for one chunk. The client (whoever iterates over `chunks()`) takes chunks and
sends them. The reader, a task of its own, reads them in stretches: a stretch is a connection lent by the pool, a
transaction in it, and a cursor that begins after the last image read before. The reader is in one of these states:

          +------------- a stretch ------------+
    ---> LENDING ---> FETCHING <---> OFFERING ---> RESTING
            ^             |                           |
            |             v                           |
            +------- RECOVERING                       |
            +-----------------------------------------+

    state        it waits for                    and goes on to
    LENDING      a connection, as long as the    FETCHING; RECOVERING if there is none
                 pool lets it
    FETCHING     PostgreSQL                      OFFERING; RECOVERING if the database goes away; the end without rows
    OFFERING     the client to take the chunk,   FETCHING if it does, RESTING if not; the end after the last chunk
                 for a lease
    RESTING      the client to take the chunk    LENDING
    RECOVERING   a pause                         LENDING, until the patience is used up: then the end, with the error

While a chunk is offered, PostgreSQL already works on the next one; the client waits for the reader only if it sends
faster than PostgreSQL reads. A reader that rests has closed its cursor and given its connection back: for a client that
isn't reading, one chunk of text is all that is held. Before the first chunk there is no RECOVERING: the client learns
of an unreachable database at once. At the end the queue holds None or the error. A client that leaves cancels the
reader; the pool closes a connection that comes back in the middle of a transaction.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from kt_images import metrics
from kt_images.database.chunk_size import ChunkSize
from kt_images.database.cursor import FIRST_STEPS, WHOLE_LIST, Cursor, Query
from kt_images.database.pool import Pool
from kt_images.errors import UnavailableError


@dataclass(frozen=True)
class Pace:
    """How a stream treats its client and its database.

    `size`: images in a chunk. `lease`: seconds that a connection waits for a client that isn't reading, `crowded_lease`
    while others wait for a connection. `patience`: seconds that a stream waits for an unreachable database. `pause`:
    seconds between two attempts.
    """

    size: int = 1000
    lease: float = 1.0
    crowded_lease: float = 0.05
    patience: float = 30.0
    pause: float = 0.1


@dataclass(frozen=True)
class Chunk:
    """`count` rows, rendered."""

    body: bytes
    count: int


# Turns the JSON texts of some rows into the bytes to send. Called at once: nothing else of a chunk is kept.
Render = Callable[[list[str]], bytes]


async def chunks(pool: Pool, query: Query, render: Render, pace: Pace) -> AsyncGenerator[Chunk, None]:
    """Yield the rows of the query, in its order. Close the generator with `aclosing()`.

    Each chunk but the last holds `pace.size` images, fewer if they are uncommonly long. An image appears at most once,
    and exactly once if it exists and matches from the start to the end. Raises UnavailableError and TooSlowError.
    """
    reader = _Reader(pool, query, render, pace)
    reading = asyncio.create_task(reader.run())
    try:
        while chunk := await reader.next():
            yield chunk
            del chunk  # its memory is free before the next one comes
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def at_once(pool: Pool, query: Query, render: Render, size: int) -> AsyncGenerator[Chunk, None]:
    """Yield the rows of the query as of one moment, `size` at a time. Close the generator with `aclosing()`.

    For orders in which a list cannot go on after a row. It holds a connection to its end, so it must not wait for a
    client. Raises UnavailableError and TooSlowError.
    """
    async with pool.connection() as connection:
        cursor, more = Cursor(connection, query, WHOLE_LIST, size), True
        while more:
            documents, more = await cursor.rows()
            if more:
                cursor.ask(size)
            if documents:
                yield Chunk(render(documents), len(documents))
        await cursor.close()


class _Reader:
    def __init__(self, pool: Pool, query: Query, render: Render, pace: Pace) -> None:
        self._pool, self._render, self._pace = pool, render, pace
        self._rest = query  # of what has not been read yet
        self._size = ChunkSize(pace.size)
        self._fraction = WHOLE_LIST
        self._has_begun = False
        self._gone_since: float | None = None  # when the database went away
        # The next chunk, or how the list ended: None, or the error.
        self._ahead: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue(maxsize=1)

    async def next(self) -> Chunk | None:
        """Take the next chunk, None at the end of the list. Raises the error that ended the list early."""
        chunk = await self._ahead.get()
        self._ahead.task_done()
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def run(self) -> None:
        """Read stretch after stretch to the end of the list."""
        try:
            while not await self._stretch_or_recover():
                await self._ahead.join()
            await self._ahead.put(None)
        except Exception as error:  # noqa: BLE001 (raised again by `next()`)
            await self._ahead.put(error)

    async def _stretch_or_recover(self) -> bool:
        now = asyncio.get_running_loop().time
        while True:
            try:
                return await self._stretch()
            except UnavailableError:
                self._gone_since = self._gone_since or now()
                if not self._has_begun or now() - self._gone_since > self._pace.patience:
                    raise
                await asyncio.sleep(self._pace.pause)

    async def _stretch(self) -> bool:
        """Read while the client takes each chunk within the lease; return whether the list has ended."""
        async with self._pool.connection() as connection:
            cursor = Cursor(connection, self._rest, self._fraction, self._size.images)
            reads_on = True
            while reads_on:
                documents, more = await cursor.rows()
                self._has_begun, self._gone_since = True, None
                fitting = self._size.fitting(documents)
                cut = len(fitting) < len(documents)  # the others are read again, in smaller chunks
                if more and not cut:
                    cursor.ask(self._size.images)
                taken = not fitting or await self._offer(fitting)
                reads_on = more and taken and not cut
            await cursor.close()
        return not (more or cut)

    async def _offer(self, documents: list[str]) -> bool:
        """Put the next chunk into the queue; return whether the client takes it within the lease."""
        chunk = Chunk(self._render(documents), len(documents))
        self._rest = self._rest.rest(documents[-1], chunk.count)
        self._ahead.put_nowait(chunk)
        self._size.grow(len(chunk.body))
        try:
            async with asyncio.timeout(self._pace.crowded_lease if self._pool.is_crowded else self._pace.lease):
                await self._ahead.join()
        except TimeoutError:
            self._fraction = FIRST_STEPS
            metrics.LEASES_TAKEN_BACK.inc()
            return False
        return True
