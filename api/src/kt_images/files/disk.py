"""The store on a local disk.

    store.json     the store's id, which tells it from others
    objects/       what is kept: a folder of at most a thousandth of all objects each
    incoming/      uploads on their way in

All lie on one file system: an upload becomes an object by a rename. A key is all that is ever joined to a path.
"""

import contextlib
import io
import itertools
import os
import stat
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO

from kt_images.errors import DamagedStoreError, NoFolderError, OtherStoreError, UnavailableError, translated_errors
from kt_images.files import cached, marker, threads
from kt_images.files.failures import EXHAUSTED, reason, translate
from kt_images.files.incoming import Incoming
from kt_images.files.store import Address, Listed, Received, Room
from kt_images.files.walking import walk
from kt_images.presence import Presence

# Read by a thread in one go.
PIECE = 2**20
# Listed by a thread in one go: enough to be worth the switch.
STEP = 250


class DiskContent:
    """An open file, or a part of it."""

    def __init__(self, file: io.FileIO, part: range) -> None:
        self._file, self._part = file, part

    def fileno(self) -> int:
        """Return the descriptor, for sendfile."""
        return self._file.fileno()

    async def fetch(self, part: range) -> None:
        """Read the part away from the event loop, unless the kernel has it."""
        if not cached.has(self.fileno(), part):
            await threads.read(os.pread, self.fileno(), len(part), part.start)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(self._part.start, self._part.stop, PIECE):
            size = min(PIECE, self._part.stop - start)
            piece = await threads.read(os.pread, self.fileno(), size, start)
            if len(piece) < size:
                raise DamagedStoreError
            yield piece


class Disk:
    """A store in a folder. Its methods are those of `Store`."""

    def __init__(self, root: Path, presence: Presence | None = None) -> None:
        """A service's `presence` is told whether the store can be reached."""
        self._presence = presence
        self._root, self._marker = root, root / marker.NAME
        self._objects = root / "objects"
        self._incoming_folder = root / "incoming"
        self._incoming = Incoming(self._incoming_folder)
        self._id: str | None = None
        self._durable: set[Path] = set()  # the objects' folders that are known to outlive a power cut

    @property
    def entered(self) -> str | None:
        return self._id

    async def open(self) -> None:
        await threads.write(self._open)

    async def identity(self) -> str | None:
        return await threads.read(self._identity)

    async def claim(self, new_id: str | None = None) -> str:
        return await threads.write(self._claim, new_id)

    async def enter(self, store_id: str) -> None:
        await threads.write(self._enter, store_id)

    async def check(self) -> None:
        try:
            await threads.read(self._check)
        except UnavailableError as error:
            if self._presence:
                self._presence.missed(reason(error) or str(error))
            raise
        if self._presence:
            self._presence.met()

    async def room(self) -> Room:
        found = await threads.read(os.statvfs, self._root)
        return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    async def probe(self) -> int:
        return await threads.read(self._probe)

    @contextlib.asynccontextmanager
    async def receive(self, pieces: AsyncIterable[bytes], max_size: int) -> AsyncIterator[Received]:
        await self.check()
        if self._id is None:
            raise UnavailableError
        async with self._incoming.receive(pieces, max_size) as received:
            yield received

    async def keep(self, received: Received, key: str, content_type: str) -> None:  # noqa: ARG002 (a disk keeps bytes)
        until = time.monotonic() + threads.WRITE_SECONDS
        await threads.write(self._keep, received.path, self._objects / key, until)

    def at_hand(self, key: str, most: int) -> bytes | None:
        return cached.read(self._objects / key, most)

    @contextlib.asynccontextmanager
    async def content(self, key: str, size: int | None = None, part: range | None = None) -> AsyncIterator[DiskContent]:
        with await threads.read(_open_file, self._objects / key, size) as file:
            whole = range(await threads.read(_size, file) if size is None else size)
            yield DiskContent(file, whole if part is None else part)

    @contextlib.asynccontextmanager
    async def local_file(self, key: str, size: int) -> AsyncIterator[BinaryIO]:
        with io.BufferedReader(await threads.read(_open_file, self._objects / key, size)) as file:
            yield file

    async def address(self, key: str) -> Address:
        return Address(key, is_file=True)

    async def remove(self, keys: Iterable[str]) -> None:
        await threads.write(self._remove, list(keys))

    async def walk(self) -> AsyncIterator[list[Listed]]:
        found = walk(self._objects)
        while step := await threads.read(list, itertools.islice(found, STEP)):
            yield step

    async def sweep(self, before: float) -> list[str]:
        return await self._incoming.sweep(before)

    def _open(self) -> None:
        with translated_errors(translate):
            self._root.mkdir(parents=True, exist_ok=True)
        self._check()

    def _identity(self) -> str | None:
        with translated_errors(translate):
            return self._found_id() if self._marker.exists() else None

    def _claim(self, new_id: str | None) -> str:
        with translated_errors(translate):
            if not self._marker.exists():
                draft = self._root / uuid.uuid4().hex
                with draft.open("xb") as file:
                    file.write(marker.new(new_id))
                    file.flush()
                    os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):  # another process was faster
                    os.link(draft, self._marker)
                draft.unlink()
                _sync_folder(self._root)
            return self._found_id()

    def _enter(self, store_id: str) -> None:
        with translated_errors(translate):
            if not self._marker.exists() or self._found_id() != store_id:
                raise OtherStoreError
            for folder in (self._objects, self._incoming_folder):
                folder.mkdir(exist_ok=True)
            _sync_folder(self._root)
        self._id = store_id

    def _check(self) -> None:
        with translated_errors(translate):
            if self._id is None and not self._root.is_dir():
                raise NoFolderError(str(self._root.resolve()))
            is_other = self._id is not None and self._found_id() != self._id
        if is_other or not os.access(self._root if self._id is None else self._incoming_folder, os.W_OK):
            raise UnavailableError("The store cannot be reached; please try again")

    def _probe(self) -> int:
        self._check()
        with translated_errors(translate):
            if self._id is not None:  # else there is no folder for it yet
                self._incoming.try_out()
            found = os.statvfs(self._root)
            return found.f_bavail * found.f_frsize

    def _found_id(self) -> str:
        return marker.read_id(self._marker.read_bytes())

    def _keep(self, source: Path, target: Path, until: float) -> None:
        with translated_errors(translate):
            if target.parent not in self._durable or not target.parent.exists():
                target.parent.mkdir(exist_ok=True)
                # Also when it was there: whoever made it may have crashed before this.
                _sync_folder(target.parent.parent)
                self._durable.add(target.parent)
            if time.monotonic() > until:
                # Nobody waits any more, and after its grace period the collector will have forgotten the key.
                raise UnavailableError(threads.StuckError.sentence)
            source.rename(target)
            _sync_folder(target.parent)

    def _remove(self, keys: list[str]) -> None:
        with translated_errors(translate):
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    (self._objects / key).unlink()


def _open_file(path: Path, size: int | None) -> io.FileIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise (translate(error) if error.errno in EXHAUSTED else None) or DamagedStoreError from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or size not in {None, found.st_size}:
        os.close(descriptor)
        raise DamagedStoreError
    return threads.File(descriptor)


def _size(file: io.FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
