"""A spool: a list is read to its end before it is sent: it is of one moment, and no connection waits for its client."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from kt_images.database.stream import Chunk
from kt_images.errors import UnavailableError

A = TypeVar("A")
R = TypeVar("R")

# Of each list; a longer one is on disk.
MOST_BYTES_IN_MEMORY = 512 * 1024


async def spooled(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks once the last one is read. Close the generator with `aclosing()`.

    Raises UnavailableError where there is no room for a temporary file.
    """
    with tempfile.SpooledTemporaryFile(MOST_BYTES_IN_MEMORY) as file:
        sizes, size = [], 0
        try:
            async for chunk in chunks:
                size += len(chunk.body)
                await _do(size, file.write, chunk.body)
                sizes.append((len(chunk.body), chunk.count))
            await _do(size, file.seek, 0)
        except OSError as error:
            raise UnavailableError("The service has no room for so long a list now; please set a limit") from error
        for length, count in sizes:
            yield Chunk(await _do(size, file.read, length), count)


async def _do(size: int, work: Callable[[A], R], argument: A) -> R:
    """Do it at once in memory, in a thread on a disk, which may take its time."""
    return work(argument) if size <= MOST_BYTES_IN_MEMORY else await asyncio.to_thread(work, argument)
