"""The store on the local disk: files that never change, under names that the server made.

A file gets into the store in two steps: `receive()` writes the bytes as they come to a temporary file, `keep()` gives
them their key. A key is all that is ever joined to a path; a name from outside is not.
"""

import asyncio
import contextlib
import errno
import hashlib
import io
import os
import stat
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from kt_images.completion import to_the_end
from kt_images.errors import DamagedStoreError, DiskFullError, TooLargeError, UnavailableError

# Gathered before a thread writes and hashes them: enough to be worth the switch.
PIECE = 256 * 1024

P = ParamSpec("P")
T = TypeVar("T")

FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Received:
    """A temporary file: all its bytes have come, none is promised to last."""

    path: Path
    size: int
    sha256: str


class Store:
    """A folder with `objects/`, what is kept, and `incoming/`, what is on its way, on one file system."""

    def __init__(self, root: Path) -> None:
        self._objects, self._incoming = root / "objects", root / "incoming"

    def open(self) -> None:
        """Make the folders. Raises UnavailableError when files cannot be written there."""
        try:
            for folder in (self._objects, self._incoming):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"The store cannot be used: {error.strerror}") from error
        self.check()

    def check(self) -> None:
        """Raise UnavailableError when files cannot be written."""
        if not os.access(self._incoming, os.W_OK) or not os.access(self._objects, os.W_OK):
            raise UnavailableError("The store cannot be reached")

    @contextlib.asynccontextmanager
    async def receive(self, pieces: AsyncIterable[bytes], max_size: int) -> AsyncIterator[Received]:
        """Write the bytes to a temporary file, which is gone at the end unless it was kept.

        Raises TooLargeError at the first byte above `max_size`, and DiskFullError.
        """
        path = self._incoming / uuid.uuid4().hex
        size, digest = 0, hashlib.sha256()
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o644)
        try:
            try:
                async for piece in _gathered(pieces):
                    size += len(piece)
                    if size > max_size:
                        raise TooLargeError(f"The file is larger than {max_size} bytes")
                    await _in_thread(_write, descriptor, piece, digest)
                await _in_thread(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            yield Received(path, size, digest.hexdigest())
        except OSError as error:
            raise _meaning(error) from error
        finally:
            await _in_thread(path.unlink, missing_ok=True)

    async def keep(self, received: Received, image_id: int, extension: str) -> str:
        """Move the received file to its place, for good; return its key."""
        key = f"{image_id % 1000:03}/{image_id}-{uuid.uuid4().hex}.{extension}"
        await self.keep_as(received, key)
        return key

    async def keep_as(self, received: Received, key: str) -> None:
        """Move the received file to the place of this key, for good; what was there is replaced."""
        await _in_thread(self._move, received.path, self._objects / key)

    def read(self, key: str) -> bytes:
        """Return the bytes of this key. Blocks. Raises DamagedStoreError."""
        with self._open(key) as file:
            return file.read()

    def open_object(self, key: str, size: int) -> io.FileIO:
        """Open the file of this key, which must have `size` bytes. Blocks. Raises DamagedStoreError."""
        file = self._open(key)
        if os.fstat(file.fileno()).st_size != size:
            file.close()
            raise DamagedStoreError
        return file

    def _open(self, key: str) -> io.FileIO:
        try:
            descriptor = os.open(self._objects / key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise DamagedStoreError from error
        file = io.FileIO(descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise DamagedStoreError
        return file

    @staticmethod
    def _move(source: Path, target: Path) -> None:
        try:
            if not target.parent.exists():
                target.parent.mkdir(exist_ok=True)
                _sync_folder(target.parent.parent)
            source.rename(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise _meaning(error) from error


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run in a thread, to the end: a descriptor is not closed, a file not removed, while a thread works on it."""
    return await to_the_end(asyncio.to_thread(function, *args, **kwargs))


async def _gathered(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _write(descriptor: int, piece: bytes, digest: "hashlib._Hash") -> None:
    digest.update(piece)
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]  # a short write is the first sign of a full disk; the next raises


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _meaning(error: OSError) -> Exception:
    return DiskFullError() if error.errno in FULL else error
