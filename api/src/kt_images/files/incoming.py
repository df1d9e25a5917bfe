"""Uploads on their way in: each is a temporary local file, written, hashed and synced by threads."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from kt_images.errors import TooLargeError, translated_errors
from kt_images.files import threads
from kt_images.files.failures import translate
from kt_images.files.store import Received

# Gathered before a thread writes and hashes them: enough to be worth the switch.
PIECE = 256 * 1024
# The least that a file occupies on most disks.
BLOCK = 4096


class _TemporaryFile:
    """A file while it is written. Each method is one turn of a thread."""

    def __init__(self, path: Path) -> None:
        self.path, self.size, self.digest = path, 0, hashlib.sha256()
        self._descriptor: int | None = None

    def create(self) -> None:
        with translated_errors(translate):
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o644)

    def write(self, content: bytearray, max_size: int) -> None:
        self.size += len(content)
        if self.size > max_size:
            raise TooLargeError(f"The file is larger than {max_size} bytes")
        self.digest.update(content)
        with translated_errors(translate), memoryview(content) as rest:
            written = 0
            while written < len(rest):
                # A short write is the first sign of a full disk; the next one raises.
                written += os.write(self._opened(), rest[written:])

    def finish(self, is_durable: bool) -> None:
        """Close the file, and make its bytes durable if they are to be."""
        with translated_errors(translate):
            if is_durable:
                os.fsync(self._opened())
            self._close()

    def discard(self) -> None:
        """Close and remove the file, unless it was kept under its key."""
        # Or its file system is gone, which has been reported already.
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _opened(self) -> int:
        if self._descriptor is None:
            raise ValueError("The file is not open")
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class Incoming:
    """A folder of temporary files, none of which outlives its upload except by a crash."""

    def __init__(self, folder: Path, *, is_durable: bool = True) -> None:
        """`is_durable`: what was received becomes an object by a rename; else it is only read."""
        self._folder, self._is_durable = folder, is_durable

    @contextlib.asynccontextmanager
    async def receive(self, pieces: AsyncIterable[bytes], max_size: int) -> AsyncIterator[Received]:
        """Write the pieces to a file that is removed at the end, if it is still there. See `Store.receive()`."""
        file = _TemporaryFile(self._folder / uuid.uuid4().hex)
        try:
            await threads.write(file.create)
            async for content in _gathered(pieces):
                await threads.write(file.write, content, max_size)
                del content  # nothing of an upload that waits for its client is held here
            await threads.write(file.finish, self._is_durable)
            yield Received(file.path, file.size, file.digest.hexdigest())
        except threads.StuckError as error:
            await threads.clean_up(file.discard, after=error.pending)
            raise
        except BaseException:
            await threads.clean_up(file.discard)
            raise
        await threads.clean_up(file.discard)

    def try_out(self) -> None:
        """Write a block to a file, and remove it."""
        file = _TemporaryFile(self._folder / uuid.uuid4().hex)
        try:
            file.create()
            file.write(bytearray(BLOCK), BLOCK)
        finally:
            file.discard()

    async def sweep(self, before: float) -> list[str]:
        """Remove what interrupted uploads left. See `Store.sweep()`."""
        return await threads.write(self._sweep, before)

    def _sweep(self, before: float) -> list[str]:
        removed = []
        with translated_errors(translate), os.scandir(self._folder) as entries:
            for entry in entries:
                # Each write renews the time: an upload under way is never old.
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        Path(entry.path).unlink()
                        removed.append(entry.name)
        return removed


async def _gathered(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytearray]:
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            full, gathered = gathered, bytearray()
            yield full
            del full
    if gathered:
        yield gathered
