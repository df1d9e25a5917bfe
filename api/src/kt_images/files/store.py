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
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kt_images.errors import DamagedStoreError, DiskFullError, InvalidRequestError, TooLargeError, UnavailableError
from kt_images.files.walk import NAME, NOTICED, Found, files

# Gathered before a thread writes and hashes them: enough to be worth the switch.
PIECE = 256 * 1024

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
        self._lasting: set[Path] = set()  # the objects' folders that are known to outlive a power cut

    def open(self) -> None:
        """Make the folders. Raises UnavailableError when files cannot be written there."""
        try:
            for folder in (self._objects, self._incoming):
                folder.mkdir(parents=True, exist_ok=True)
                _sync_folder(folder.parent)
            _sync_folder(self._objects.parent.parent)
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
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o644)
            try:
                async for piece in _gathered(pieces):
                    size += len(piece)
                    if size > max_size:
                        raise TooLargeError(f"The file is larger than {max_size} bytes")
                    await _to_the_end(_write, descriptor, piece, digest)
                await _to_the_end(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            yield Received(path, size, digest.hexdigest())
        except OSError as error:
            raise _meaning(error) from error
        finally:
            path.unlink(missing_ok=True)

    async def keep(self, received: Received, image_id: int, extension: str) -> str:
        """Move the received file to its place, for good; return its key."""
        key = f"{image_id % 1000:03}/{image_id}-{uuid.uuid4().hex}.{extension}"
        await asyncio.to_thread(self._move, received.path, self._objects / key)
        return key

    async def take_back(self, received: Received, key: str) -> None:
        """Move the received file to the place that it once had. Raises InvalidRequestError for what is no key."""
        if not (named := NAME.fullmatch(key)) or named["key"] != key:
            raise InvalidRequestError("The store does not give files such names")
        await asyncio.to_thread(self._move, received.path, self._objects / key)

    def open_object(self, key: str, size: int) -> io.FileIO:
        """Open the file of this key, which must have `size` bytes. Blocks. Raises DamagedStoreError."""
        try:
            descriptor = os.open(self._objects / key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise DamagedStoreError from error
        file = io.FileIO(descriptor)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            file.close()
            raise DamagedStoreError
        return file

    def objects(self) -> Iterator[Found]:
        """Yield every file among the objects, whether a row names it or not. Blocks at each step."""
        return files(self._objects)

    def unfinished(self) -> Iterator[Found]:
        """Yield every temporary file, those of uploads under way too. Blocks at each step."""
        return files(self._incoming)

    def notice(self, found: Found) -> None:
        """Note on a file that it was seen without a row. Blocks."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(found.path, (NOTICED, NOTICED), follow_symlinks=False)

    def remove(self, found: Found) -> None:
        """Remove a file for good. Blocks."""
        found.path.unlink(missing_ok=True)

    def set_aside(self, found: Found) -> None:
        """Move a file out of the way, below `quarantine/`, from where nothing is served. Blocks."""
        root = self._objects.parent
        target = root / "quarantine" / found.path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        found.path.rename(target)

    def digest(self, key: str, size: int) -> str:
        """Return the SHA-256 of the file of this key. Blocks. Raises DamagedStoreError, and OSError for a bad disk."""
        with self.open_object(key, size) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _move(self, source: Path, target: Path) -> None:
        try:
            if target.parent not in self._lasting or not target.parent.exists():
                target.parent.mkdir(exist_ok=True)
                # Whoever made it may not have come to this yet, or never will.
                _sync_folder(target.parent.parent)
                self._lasting.add(target.parent)
            source.rename(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise _meaning(error) from error


async def _gathered(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def _to_the_end(step: Callable[..., None], *arguments: Any) -> None:
    """Run a step in a thread and wait for it even when cancelled: closed under it, its descriptor is soon another's."""
    task = asyncio.create_task(asyncio.to_thread(step, *arguments))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


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
