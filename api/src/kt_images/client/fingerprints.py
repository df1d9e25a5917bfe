"""The SHA-256 of a local file, and a way to see that the file has not changed since."""

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK_SIZE = 2**20


@dataclass(frozen=True)
class Fingerprint:
    """The SHA-256 of a file's bytes, in hexadecimal, and the file's identity, size and time when it was taken."""

    sha256: str
    state: tuple[int, ...]


async def fingerprint(path: Path) -> Fingerprint:
    """Read the whole file, as `digest` does. Raises OSError."""
    with path.open("rb") as file:
        state = _state(os.fstat(file.fileno()))
        return Fingerprint(await digest(file), state)


async def digest(file: BinaryIO) -> str:
    """Return the SHA-256 of what is left of an open file; it is read in threads, chunk by chunk, to be cancellable."""
    seen, chunk = hashlib.sha256(), None
    while chunk is None or len(chunk) == CHUNK_SIZE:
        chunk = await asyncio.to_thread(file.read, CHUNK_SIZE)
        seen.update(chunk)
    return seen.hexdigest()


def is_unchanged(path: Path, known: Fingerprint) -> bool:
    """Return whether the file is still the one that the fingerprint was taken of. Raises OSError."""
    return _state(path.stat()) == known.state


def _state(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
