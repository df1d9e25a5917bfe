"""A restoration: an archive's objects put into the store, and their rows into an open transaction.

Whoever made the archive: what comes in is what uploads could have brought. Each file is received, hashed and decoded
before it becomes an object, under a new key, so that no object of the store is replaced. Until the transaction is
committed the objects are orphans, entered as one batch by another connection.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from kt_images.base_settings import Settings, variable
from kt_images.database import attachments, images, orphans
from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import InvalidRequestError, TooLargeError, UnsupportedMediaTypeError
from kt_images.fields import MAX_ID
from kt_images.files import keys
from kt_images.files.decoders import Decoders
from kt_images.files.pictures import Picture
from kt_images.files.store import Received, Store
from kt_images.manage import archive
from kt_images.manage.archive import ArchiveError, Content
from kt_images.manage.rows import AttachmentRow, ImageRow, TotalsRow

Row = TypeVar("Row", bound=BaseModel)

# Files that are decoded and stored together; fewer of large ones, as none may wait for long.
AT_ONCE, BYTES_AT_ONCE = 32, 64 * 2**20
# Files whose rows are still to come; a backup writes a tenth of that.
MOST_WAITING = 1000


@dataclass(frozen=True)
class _Object:
    """An object in the store, and its picture: or why an upload would refuse it, or None if nobody has looked."""

    key: str
    size: int
    sha256: str
    picture: Picture | str | None

    def check(self, row: AttachmentRow) -> None:
        """Raise ArchiveError unless the row is right."""
        if (self.size, self.sha256) != (row.size, row.sha256):
            raise ArchiveError(f"The archive is damaged: the object {row.object_key} does not match its row")
        match self.picture:
            case str(why):
                raise _refusal(row.object_key, why)
            case Picture(content_type=found, width=width, height=height):
                if (found, width, height) != (row.content_type, row.width, row.height):
                    raise _refusal(row.object_key, "its type or its size in pixels is not that of its row")


class Restoration:
    """Restores one archive; without `decoders` it trusts the archive, and applies no limits of uploads."""

    def __init__(self, pool: Pool, store: Store, decoders: Decoders | None, settings: Settings) -> None:
        self._pool, self._store, self._decoders = pool, store, decoders
        self._max_size = settings.max_upload_size if decoders else MAX_ID
        # Uploads at the same moment may have exceeded it a little.
        self._max_attachments = settings.max_attachments + settings.max_uploads if decoders else MAX_ID
        self._totals = {"images": 0, "attachments": 0, "bytes": 0}
        self._last_image = 0
        self._last_owner, self._owned = 0, 0  # an image, and how many attachments it has so far
        self._received: dict[str, Received] = {}
        self._objects: dict[str, _Object] = {}  # whose rows are still to come
        self._temporary = contextlib.AsyncExitStack()

    async def take(self, file: IO[bytes], connection: Connection, batch: datetime) -> dict[str, int]:
        """Restore everything; return the totals. Raises ArchiveError."""
        self._connection, self._batch = connection, batch
        try:
            async with self._temporary:
                for name, content in archive.members(file):
                    await self._member(name, content)
        except InvalidRequestError as error:
            raise ArchiveError("The archive is damaged: its rows are not those of a backup") from error
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            # Escaped: the name of an unknown key may be anything.
            where = ascii(first["loc"][0]) if first["loc"] else "it"
            raise ArchiveError(
                f"The archive is damaged: a row is not that of a backup: {where}: {first['msg']}"
            ) from None
        return self._totals

    async def _member(self, name: str, content: Content) -> None:
        if name.startswith(archive.OBJECTS):
            await self._object(name.removeprefix(archive.OBJECTS), content)
        elif name.startswith(archive.IMAGES):
            for found in _rows(ImageRow, content):
                await self._images(found)
        elif name.startswith(archive.ATTACHMENTS):
            await self._store_received()
            for rows in _rows(AttachmentRow, content):
                await self._attachments(rows)
        elif name == archive.LAST and content.size <= archive.LONGEST_LINE:
            await self._end(TotalsRow.model_validate_json(b"".join(content.pieces())))
        else:
            raise ArchiveError

    async def _object(self, key: str, content: Content) -> None:
        is_known = key in self._objects or key in self._received
        if keys.object_key(key) != key or is_known or len(self._objects) >= MOST_WAITING:
            raise ArchiveError("The archive is damaged: it contains an invalid or unexpected object")
        if content.size > self._max_size:
            raise _refusal(key, f"it is larger than {variable('max_upload_size')}")
        receiving = self._store.receive(_pieces(content), self._max_size)
        self._received[key] = await self._temporary.enter_async_context(receiving)
        if len(self._received) >= AT_ONCE or sum(one.size for one in self._received.values()) >= BYTES_AT_ONCE:
            await self._store_received()

    async def _store_received(self) -> None:
        """Make objects of the files received, after a look at each."""
        if not self._received:
            return
        looks = (self._inspect(key, one) for key, one in self._received.items())
        made: dict[str, _Object] = {}
        # To the end of all, also when one has failed: none outlives its file.
        for key, found in zip(self._received, await asyncio.gather(*looks, return_exceptions=True), strict=True):
            if isinstance(found, BaseException):
                raise found
            made[key] = found
        await orphans.expect(self._pool, [one.key for one in made.values()], self._batch, self._store.entered)
        for key, received in self._received.items():
            # Its type is in its row, which comes later and is what downloads are answered by.
            await self._store.keep(received, made[key].key, "application/octet-stream")
        self._objects |= made
        self._received.clear()
        await self._temporary.aclose()

    async def _inspect(self, key: str, received: Received) -> _Object:
        picture: Picture | str | None = None
        try:
            picture = await self._decoders.inspect(received.path) if self._decoders else None
        except (InvalidRequestError, TooLargeError, UnsupportedMediaTypeError) as error:
            picture = str(error)
        return _Object(keys.renewed(key), received.size, received.sha256, picture)

    async def _images(self, rows: list[ImageRow]) -> None:
        for row in rows:
            if row.image_id <= self._last_image:
                raise ArchiveError("The archive is damaged: its images are not in the order of their ids")
            self._last_image = row.image_id
        await images.restore(self._connection, rows)
        self._totals["images"] += len(rows)

    async def _attachments(self, rows: list[AttachmentRow]) -> None:
        found = []
        for row in rows:
            self._count(row)
            if not (one := self._objects.pop(row.object_key, None)):
                raise ArchiveError("The archive is damaged: it contains rows without their files")
            one.check(row)
            found.append(row.model_copy(update={"object_key": one.key}))
        await orphans.adopt(self._connection, [row.object_key for row in found])
        await attachments.restore(self._connection, found)

    def _count(self, row: AttachmentRow) -> None:
        if row.image_id < self._last_owner:
            raise ArchiveError("The archive is damaged: its files are not in the order of their images' ids")
        self._owned = self._owned + 1 if row.image_id == self._last_owner else 1
        self._last_owner = row.image_id
        if self._owned > self._max_attachments:
            raise _refusal(row.object_key, f"its image has more files than {variable('max_attachments')}")
        self._totals["attachments"] += 1
        self._totals["bytes"] += row.size

    async def _end(self, totals: TotalsRow) -> None:
        if self._received or self._objects:
            raise ArchiveError("The archive is damaged: it contains files without their rows")
        if totals.model_dump(exclude={"last_image_id"}) != self._totals or totals.last_image_id < self._last_image:
            raise ArchiveError("The archive is damaged: its content does not match its totals")
        await images.continue_after(self._connection, totals.last_image_id)


def _refusal(key: str, why: str) -> ArchiveError:
    return ArchiveError(f"An upload would refuse the object {key}: {why}. Add --trust if you made this backup yourself")


def _rows(model: type[Row], content: Content) -> Iterator[list[Row]]:
    """Yield the rows of a member, as many at a time as a piece has. Raises ArchiveError and ValidationError."""
    for lines in content.lines():
        if lines:
            yield [model.model_validate_json(line) for line in lines]


async def _pieces(content: Content) -> AsyncIterator[bytes]:
    for piece in content.pieces():
        yield piece
