"""What a store of objects promises, wherever it keeps them.

An object never changes: it is received, kept under a key, and removed. When it may be removed is the database's
business. Every store passes the same tests, `tests/files/test_stores.py`.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class Received:
    """An upload in a temporary local file: complete, but not yet durable under a key."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it; `changed` is in seconds since the epoch."""

    key: str
    size: int
    changed: float


@dataclass(frozen=True)
class Room:
    """Bytes that may still be written, of all that the store's disk has."""

    free: int
    size: int


@dataclass(frozen=True)
class Address:
    """Where a proxy in front of the service finds an object, relative to what its configuration says."""

    path: str
    is_file: bool  # which the proxy reads by itself, ranges of it as well


class Content(Protocol):
    """The bytes of an object, or of a part of it, in pieces."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def fileno(self) -> int | None:
        """Return the descriptor of the whole object as a local file, for sendfile; None if there is no such file."""

    async def fetch(self, part: range) -> None:
        """Bring a part of that file into the kernel's memory, where sendfile finds it without waiting for the disk."""


class InMemory:
    """Bytes that are here already."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content

    def fileno(self) -> None:
        """Return None: the kernel cannot send them by itself."""

    async def fetch(self, part: range) -> None:
        """Do nothing."""


class Store(Protocol):
    """Objects by their keys. No method blocks the event loop; each raises UnavailableError when out of reach."""

    @property
    def entered(self) -> str | None:
        """The id of the store, once it was entered."""

    async def open(self) -> None:
        """Prepare the place where objects are kept, and see that it can be written."""

    async def identity(self) -> str | None:
        """Return the store's id; None for a place that is no store yet."""

    async def claim(self) -> str:
        """Return the store's id; a new store gets one first. Raises DiskFullError."""

    async def enter(self, store_id: str) -> None:
        """Accept uploads from now on. Raises OtherStoreError unless this is the store of that id."""

    async def check(self) -> None:
        """Raise UnavailableError when objects cannot be written, or another store is in this one's place."""

    async def room(self) -> Room | None:
        """Return how much room there is, None where nobody knows."""

    async def probe(self) -> int | None:
        """Write a little; return how many bytes are free, None where nobody knows.

        Raises as `check()`, and DiskFullError.
        """

    def receive(self, pieces: AsyncIterable[bytes], max_size: int) -> AbstractAsyncContextManager[Received]:
        """Write the pieces to a temporary file, which is removed at the end unless it was kept.

        Raises TooLargeError at the first byte above `max_size`, and DiskFullError.
        """

    async def keep(self, received: Received, key: str, content_type: str) -> None:
        """Store the received file under the key, replacing an object there; durable on return. Raises DiskFullError."""

    def at_hand(self, key: str, most: int) -> bytes | None:
        """Return the object's bytes if it takes no waiting to get them, and they are no more than `most`; else None."""

    def content(
        self, key: str, size: int | None = None, part: range | None = None
    ) -> AbstractAsyncContextManager[Content]:
        """Open the object, or a part of it; an empty part, `range(0)`, only to see that the object is there.

        Raises DamagedStoreError when it is missing or has not `size` bytes.
        """

    def local_file(self, key: str, size: int) -> AbstractAsyncContextManager[BinaryIO]:
        """Open the object as a local file, for a decoder. Raises as `content()` does."""

    async def address(self, key: str) -> Address:
        """Return where a proxy finds the object; that of an object in a bucket is good for some minutes."""

    async def remove(self, keys: Iterable[str]) -> None:
        """Remove the objects; keys without an object are ignored."""

    def walk(self) -> AsyncIterator[list[Listed]]:
        """List all objects, some hundreds at a time, and whatever else lies among them."""

    async def sweep(self, before: float) -> list[str]:
        """Remove temporary files last written before that moment, in seconds since the epoch; return their names."""


async def read_all(content: Content) -> bytes:
    """Return all bytes of a small object."""
    return b"".join([piece async for piece in content])
