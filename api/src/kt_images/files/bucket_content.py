"""What comes from a bucket, in pieces."""

from collections.abc import AsyncIterator, Awaitable, Callable

from kt_images.errors import DamagedStoreError


class BucketContent:
    """So many bytes of an object, which `next_piece` gives one after the other, and nothing at the end."""

    def __init__(self, size: int, next_piece: Callable[[], Awaitable[bytes]]) -> None:
        self._size, self._next_piece = size, next_piece

    def fileno(self) -> None:
        """Return None: there is no local file."""

    async def fetch(self, part: range) -> None:
        """Do nothing."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._size
        while left and (piece := await self._next_piece()):
            left -= len(piece)
            yield piece
        if left:
            raise DamagedStoreError


async def nothing() -> bytes:
    """The pieces of an object of which no bytes are wanted."""
    return b""
