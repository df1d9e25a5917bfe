"""The store in a bucket of any server that speaks S3, shared by all services of one database.

    store.json     the store's id, which tells it from others
    probe          written now and then, to see that it can be
    objects/       what is kept

All below the prefix of the setting. Uploads on their way in are files in a local folder: a decoder needs them there.

A bucket that is gone looks like one without objects, to whoever asks for one of them. So before an object is said to be
missing, the marker is looked at: only where that is, and is the right one, objects can be missing.
"""

import contextlib
import io
import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from kt_images.errors import DamagedStoreError, OtherStoreError, UnavailableError, translated_errors
from kt_images.files import failures, marker, threads
from kt_images.files.bucket_calls import Calls
from kt_images.files.bucket_content import BucketContent
from kt_images.files.bucket_failures import MissingError, is_lasting, reason
from kt_images.files.incoming import Incoming
from kt_images.files.place import Place
from kt_images.files.s3 import Client
from kt_images.files.store import Address, Content, InMemory, Listed, Received
from kt_images.presence import Presence

P = ParamSpec("P")
T = TypeVar("T")

# Fetched by a thread in one go; a slow reader holds about three of it.
PIECE = 512 * 1024
# For which a look at the marker holds, for an upload that begins.
FRESH_SECONDS = 1.0
# Between two writes that only try whether one can write: servers are paid for each.
PROBE_SECONDS = 30.0
# An upload's time, and more for each byte of it.
SEND_SECONDS, SEND_SECONDS_PER_BYTE = 60.0, 1e-6
# Deleted by one request.
MOST_DELETED = 1000

OTHER = (
    "The bucket for the files is not the store of this database: it is empty or another one. "
    "To adopt it anyway, run SQL: truncate store"
)
TOO_MANY = "Too many files are being sent; please try again"


class Bucket:
    """A store in a bucket. Its methods are those of `Store`."""

    def __init__(
        self, place: Place, client: Callable[[], Client], folder: Path, most_open: int, presence: Presence | None = None
    ) -> None:
        """Keep uploads on their way in below the local folder, and at most so many objects open for reading.

        `client` is called when the store is opened. A service's `presence` is told whether the bucket can be reached.
        """
        self._place, self._make_client, self._calls = place, client, Calls(presence)
        self._folder, self._incoming = folder, Incoming(folder / "incoming", is_durable=False)
        self._open_now, self._most_open = 0, most_open
        self._id: str | None = None
        self._client_made: Client | None = None
        self._checked = self._probed = -math.inf

    @property
    def entered(self) -> str | None:
        return self._id

    async def open(self) -> None:
        await threads.write(self._prepare)
        try:
            await self.identity()
        except UnavailableError as error:
            if is_lasting(error):
                raise UnavailableError(f"The store cannot be used: {reason(error)}") from None

    async def identity(self) -> str | None:
        try:
            return marker.read_id(await self._calls.fetch(self._client.get, self._named(marker.NAME)))
        except MissingError:
            return None

    async def claim(self, new_id: str | None = None) -> str:
        if (found := await self.identity()) is None:  # asked first: some servers would replace it
            await self._calls.send(SEND_SECONDS, self._client.put_first, self._named(marker.NAME), marker.new(new_id))
            found = await self.identity()  # another process may have been faster
        return found or ""

    async def enter(self, store_id: str) -> None:
        if await self.identity() != store_id:
            raise OtherStoreError(OTHER)
        self._id = store_id

    async def check(self) -> None:
        found = await self.identity()
        if self._id is not None and found != self._id:
            why = "the bucket has no store.json" if found is None else "the bucket has the store.json of another store"
            raise self._calls.missed(why)
        self._checked = time.monotonic()

    async def room(self) -> None:
        return None

    async def probe(self) -> None:
        await self.check()
        await threads.write(self._try_folder)
        if time.monotonic() - self._probed >= PROBE_SECONDS:
            await self._calls.send(SEND_SECONDS, self._client.put, self._named("probe"), b"probe", "text/plain", 5)
            self._probed = time.monotonic()

    @contextlib.asynccontextmanager
    async def receive(self, pieces: AsyncIterable[bytes], max_size: int) -> AsyncIterator[Received]:
        if time.monotonic() - self._checked >= FRESH_SECONDS:
            await self.check()
        if self._id is None:
            raise UnavailableError
        async with self._incoming.receive(pieces, max_size) as received:
            yield received

    async def keep(self, received: Received, key: str, content_type: str) -> None:
        seconds = SEND_SECONDS + SEND_SECONDS_PER_BYTE * received.size
        until = time.monotonic() + seconds
        await self._calls.send(seconds, self._keep, received, self._object(key), content_type, until)

    def at_hand(self, key: str, most: int) -> None:  # noqa: ARG002 (nothing of a bucket is at hand)
        return None

    @contextlib.asynccontextmanager
    async def content(self, key: str, size: int | None = None, part: range | None = None) -> AsyncIterator[Content]:
        with self._counted():
            if part is not None and not part:
                self._compare(size, await self._found(self._client.size, self._object(key)))
                yield InMemory(b"")
                return
            stream = await self._found(self._client.open, self._object(key), part, PIECE)
            try:
                self._compare(size, stream.size)
                wanted = len(part or range(stream.size))
                yield BucketContent(wanted, stream.at_hand, partial(self._calls.fetch, stream.next))
            finally:
                stream.close()

    @contextlib.asynccontextmanager
    async def local_file(self, key: str, size: int) -> AsyncIterator[BinaryIO]:
        async with self._incoming.receive(self._pieces(key, size), size) as received:
            with io.BufferedReader(await threads.read(threads.File, received.path)) as file:
                yield file

    async def address(self, key: str) -> Address:
        signed = await self._calls.fetch(self._client.address, self._object(key))
        return Address(signed.lstrip("/"), is_file=False)

    async def remove(self, keys: Iterable[str]) -> None:
        names = [self._object(key) for key in keys]
        for start in range(0, len(names), MOST_DELETED):
            await self._calls.send(SEND_SECONDS, self._client.delete, names[start : start + MOST_DELETED])

    async def walk(self) -> AsyncIterator[list[Listed]]:
        await self.check()
        folder = self._object("")
        listing = await self._calls.fetch(self._client.list, folder)
        while (step := await self._calls.fetch(listing.next)) is not None:
            yield [
                Listed(one["path"].removeprefix(folder), one["size"], one["last_modified"].timestamp())
                for one in step
                if one["path"].startswith(folder)
            ]
        await self.check()  # of a bucket that goes meanwhile, the rest would seem to be missing

    async def sweep(self, before: float) -> list[str]:
        return await self._incoming.sweep(before)

    @property
    def _client(self) -> Client:
        if self._client_made is None:
            self._client_made = self._make_client()
        return self._client_made

    def _named(self, name: str) -> str:
        return f"{self._place.prefix}{name}"

    def _object(self, key: str) -> str:
        return self._named(f"objects/{key}")

    async def _pieces(self, key: str, size: int) -> AsyncIterator[bytes]:
        async with self.content(key, size) as content:
            async for piece in content:
                yield piece

    async def _found(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the call finds. Raises DamagedStoreError when there is nothing, but a bucket."""
        try:
            return await self._calls.fetch(call, *args, **kwargs)
        except MissingError as error:
            await self.check()
            raise DamagedStoreError from error

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count an object as open in this context. Raises UnavailableError when too many are."""
        if self._open_now >= self._most_open:
            raise UnavailableError(TOO_MANY)
        self._open_now += 1
        try:
            yield
        finally:
            self._open_now -= 1

    @staticmethod
    def _compare(expected: int | None, found: int) -> None:
        if expected not in {None, found}:
            raise DamagedStoreError

    def _keep(self, received: Received, name: str, content_type: str, until: float) -> None:
        if time.monotonic() > until:
            # Nobody waits any more, and after its grace period the collector will have forgotten the key.
            raise UnavailableError(threads.StuckError.sentence)
        self._client.put(name, received.path, content_type, received.size)

    def _prepare(self) -> None:
        self._client_made = self._make_client()  # raises UnavailableError without credentials
        with translated_errors(failures.translate):
            (self._folder / "incoming").mkdir(parents=True, exist_ok=True)

    def _try_folder(self) -> None:
        with translated_errors(failures.translate):
            self._incoming.try_out()
