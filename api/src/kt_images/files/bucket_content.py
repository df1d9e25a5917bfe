"""What comes from a bucket, in pieces."""

from collections.abc import AsyncIterator, Awaitable, Callable

from kt_images.errors import DamagedStoreError


class BucketContent:
    """So many bytes of an object: what is `at_hand`, and what `next_piece` gives piece by piece, nothing at the end."""

    def __init__(self, size: int, at_hand: Callable[[], bytes], next_piece: Callable[[], Awaitable[bytes]]) -> None:
        self._size, self._at_hand, self._next_piece = size, at_hand, next_piece

    def fileno(self) -> None:
        """Return None: there is no local file."""

    async def fetch(self, part: range) -> None:
        """Do nothing."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, piece = self._size, self._at_hand()
        while left and piece:
            left -= len(piece)
            yield piece
            del piece  # not held while the next is on its way
            piece = await self._next_piece() if left else b""
        if left:
            raise DamagedStoreError
