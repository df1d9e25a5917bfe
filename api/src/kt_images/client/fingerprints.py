"""The SHA-256 of a local file, and a way to see that the file has not changed since."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO, TypeVar

CHUNK_SIZE = 2**20

T = TypeVar("T")


@dataclass(frozen=True)
class Fingerprint:
    """The SHA-256 of a file's bytes, in hexadecimal, and the file's identity, size and time when it was taken."""

    sha256: str
    state: tuple[int, ...]


async def in_thread(work: Callable[[Event], T]) -> T:
    """Return what `work` returns in a thread. It gets an event that is set once nobody waits for it any more."""
    abandoned = Event()
    try:
        return await asyncio.to_thread(work, abandoned)
    finally:
        abandoned.set()


def taken(path: Path, abandoned: Event) -> Fingerprint:
    """Read the whole file, in a thread. Raises OSError."""
    with path.open("rb") as file:
        state = _state(os.fstat(file.fileno()))
        return Fingerprint(_digest(file, abandoned), state)


async def fingerprint(path: Path) -> Fingerprint:
    """Read the whole file. Raises OSError."""
    return await in_thread(lambda abandoned: taken(path, abandoned))


async def digest(file: BinaryIO) -> str:
    """Return the SHA-256 of what is left of an open file."""
    return await in_thread(lambda abandoned: _digest(file, abandoned))


def is_unchanged(path: Path, known: Fingerprint) -> bool:
    """Return whether the file is still the one that the fingerprint was taken of. Raises OSError."""
    return _state(path.stat()) == known.state


def _digest(file: BinaryIO, abandoned: Event) -> str:
    seen = hashlib.sha256()
    while not abandoned.is_set() and (chunk := file.read(CHUNK_SIZE)):
        seen.update(chunk)
    return seen.hexdigest()


def _state(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
