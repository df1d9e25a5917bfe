"""The store on the local disk: files that never change, under names that the server made.

A file gets into the store in two steps: `receive()` writes the bytes as they come to a temporary file, `keep()` gives
them their key. A key is all that is ever joined to a path; a name from outside is not.
"""

import asyncio
import contextlib
import errno
import hashlib
import io
import json
import os
import stat
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from kt_images.errors import (
    DamagedStoreError,
    DiskFullError,
    InvalidRequestError,
    OtherStoreError,
    TooLargeError,
    UnavailableError,
)
from kt_images.files.walk import NAME, NOTICED, Found, files
from kt_images.shielding import shielded

# Gathered before a thread writes and hashes them: enough to be worth the switch.
PIECE = 256 * 1024

FULL = {errno.ENOSPC, errno.EDQUOT}
# The folder is not mounted any more, or read-only, or belongs to somebody else.
GONE = {errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENOTCONN, errno.ENODEV}

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Received:
    """A temporary file: all its bytes have come, none is promised to last."""

    path: Path
    size: int
    sha256: str


class Store:
    """A folder, on one file system.

    It has `objects/`, what is kept, `incoming/`, what is on its way, and `store.json`, which tells it from others.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._marker = root, root / "store.json"
        self._objects, self._incoming = root / "objects", root / "incoming"
        self._id: str | None = None
        self._lasting: set[Path] = set()  # the objects' folders that are known to outlive a power cut

    def open(self) -> None:
        """Make the folder. Raises UnavailableError when files cannot be written there."""
        with _meaning():
            self._root.mkdir(parents=True, exist_ok=True)
        self.check()

    def claim(self) -> str:
        """Return the store's id, which a new store gets by that. Raises UnavailableError, DiskFullError."""
        with _meaning():
            if not self._marker.exists():
                draft = self._root / uuid.uuid4().hex
                with draft.open("x") as file:
                    json.dump({"store_id": str(uuid.uuid4())}, file)
                    file.flush()
                    os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):  # another process was faster
                    os.link(draft, self._marker)
                draft.unlink()
                _sync_folder(self._root)
            return self._found_id()

    def enter(self, store_id: str) -> None:
        """Take files from now on. Raises OtherStoreError when the folder is not the store of this id."""
        with _meaning():
            if not self._marker.exists() or self._found_id() != store_id:
                raise OtherStoreError
            for folder in (self._objects, self._incoming):
                folder.mkdir(exist_ok=True)
            _sync_folder(self._root)
        self._id = store_id

    def check(self) -> None:
        """Raise UnavailableError when files cannot be written, or the folder is not the store any more. Blocks."""
        with _meaning():
            lost = self._id is not None and self._found_id() != self._id
        if lost or not os.access(self._root if self._id is None else self._incoming, os.W_OK):
            raise UnavailableError("The store cannot be reached")

    @contextlib.asynccontextmanager
    async def receive(self, pieces: AsyncIterable[bytes], max_size: int) -> AsyncIterator[Received]:
        """Write the bytes to a temporary file, which is gone at the end unless it was kept.

        Raises TooLargeError at the first byte above `max_size`, DiskFullError, UnavailableError.
        """
        path = self._incoming / uuid.uuid4().hex
        size, digest = 0, hashlib.sha256()
        try:
            descriptor = await _in_thread(self._create, path)
            try:
                async for piece in _gathered(pieces):
                    size += len(piece)
                    if size > max_size:
                        raise TooLargeError(f"The file is larger than {max_size} bytes")
                    await _in_thread(_write, descriptor, piece, digest)
                await _in_thread(_sync, descriptor)
            finally:
                os.close(descriptor)
            yield Received(path, size, digest.hexdigest())
        finally:
            await _in_thread(_remove, path)

    async def keep(self, received: Received, image_id: int, extension: str) -> str:
        """Move the received file to its place, for good; return its key. Raises DiskFullError, UnavailableError."""
        key = f"{image_id % 1000:03}/{image_id}-{uuid.uuid4().hex}.{extension}"
        await self.keep_as(received, key)
        return key

    async def keep_as(self, received: Received, key: str) -> None:
        """Move the received file to the place of this key; what was there is replaced. Raises as `keep()`."""
        await _in_thread(self._move, received.path, self._objects / key)

    async def take_back(self, received: Received, key: str) -> None:
        """Move the received file to the place that it once had. Raises InvalidRequestError for what is no key."""
        if not (named := NAME.fullmatch(key)) or named["key"] != key:
            raise InvalidRequestError("The store does not give files such names")
        await self.keep_as(received, key)

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

    def _found_id(self) -> str:
        try:
            return str(json.loads(self._marker.read_bytes())["store_id"])
        except (ValueError, KeyError, TypeError):
            return ""

    def _create(self, path: Path) -> int:
        self.check()
        if self._id is None:
            raise UnavailableError
        with _meaning():
            return os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o644)

    def _move(self, source: Path, target: Path) -> None:
        with _meaning():
            if target.parent not in self._lasting or not target.parent.exists():
                target.parent.mkdir(exist_ok=True)
                # Whoever made it may not have come to this yet, or never will.
                _sync_folder(target.parent.parent)
                self._lasting.add(target.parent)
            source.rename(target)
            _sync_folder(target.parent)

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


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run in a thread, to the end: a descriptor is not closed, a file not removed, while a thread works on it."""
    return await shielded(asyncio.to_thread(function, *args, **kwargs))


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
    with _meaning():
        while rest:
            rest = rest[os.write(descriptor, rest) :]  # a short write is the first sign of a full disk; the next raises


def _sync(descriptor: int) -> None:
    with _meaning():
        os.fsync(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # kept by now, or its file system is gone; what else happened is told already
        path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _meaning() -> Iterator[None]:
    """Raise what the disk reports as one of our errors; let what nobody can expect pass."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError from error
        if error.errno in GONE:
            raise UnavailableError("The store cannot be reached") from error
        raise
