"""Uploads on their way in: each is a temporary local file, written, hashed and synced by threads."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from kt_images.errors import TooLargeError, translated_errors
from kt_images.files.store import Received
from kt_images.files.threads import in_thread
from kt_images.files.translation import translate

# Gathered before a thread writes and hashes them: enough to be worth the switch.
PIECE = 256 * 1024


class Incoming:
    """A folder of temporary files, none of which outlives its upload except by a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.asynccontextmanager
    async def receive(self, pieces: AsyncIterable[bytes], max_size: int) -> AsyncIterator[Received]:
        """Write the pieces to a file that is removed at the end, if it is still there. See `Store.receive()`."""
        path = self._folder / uuid.uuid4().hex
        size, digest = 0, hashlib.sha256()
        try:
            descriptor = await in_thread(_create, path)
            try:
                async for piece in _gathered(pieces):
                    size += len(piece)
                    if size > max_size:
                        raise TooLargeError(f"The file is larger than {max_size} bytes")
                    await in_thread(_write, descriptor, piece, digest)
                await in_thread(_sync, descriptor)
            finally:
                os.close(descriptor)
            yield Received(path, size, digest.hexdigest())
        finally:
            await in_thread(_remove, path)

    async def sweep(self, before: float) -> list[str]:
        """Remove what interrupted uploads left. See `Store.sweep()`."""
        return await in_thread(self._sweep, before)

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


async def _gathered(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _create(path: Path) -> int:
    with translated_errors(translate):
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o644)


def _write(descriptor: int, piece: bytes, digest: "hashlib._Hash") -> None:
    digest.update(piece)
    rest = memoryview(piece)
    with translated_errors(translate):
        while rest:
            # A short write is the first sign of a full disk; the next one raises.
            rest = rest[os.write(descriptor, rest) :]


def _sync(descriptor: int) -> None:
    with translated_errors(translate):
        os.fsync(descriptor)


def _remove(path: Path) -> None:
    # Kept under its key by now, or its file system is gone, which has been reported already.
    with contextlib.suppress(OSError):
        path.unlink()
