"""A spool: a list is read to its end before it is sent: it is of one moment, and no connection waits for its client."""

import tempfile
from collections.abc import AsyncGenerator

from kt_images.database.stream import Chunk
from kt_images.errors import UnavailableError

# Of each list; a longer one is on disk.
MOST_BYTES_IN_MEMORY = 512 * 1024


async def spooled(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks once the last one is read. Close the generator with `aclosing()`.

    Raises UnavailableError where there is no room for a temporary file.
    """
    with tempfile.SpooledTemporaryFile(MOST_BYTES_IN_MEMORY) as file:
        sizes = []
        try:
            async for chunk in chunks:
                file.write(chunk.body)
                sizes.append((len(chunk.body), chunk.count))
            file.seek(0)
        except OSError as error:
            raise UnavailableError("The service has no room for so long a list now; please set a limit") from error
        for length, count in sizes:
            yield Chunk(file.read(length), count)
