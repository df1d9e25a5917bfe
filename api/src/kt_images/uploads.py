"""Uploads: received, checked and stored in this order, so that a crash at any moment loses nothing acknowledged.

1. The bytes go to a temporary file, hashed as they pass, and are decoded as a picture, of which thumbnails are made.
2. The key of the object-to-be is entered as an orphan's. From here on a crash leaves nothing that is not found.
3. The file becomes an object, durable under its key, and so do the thumbnails.
4. One transaction takes the key out of the orphans and writes the row. Only then does the client hear of it.

Steps 2 to 4 run to completion even if the client leaves, and no database connection is held during 1 and 3.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from kt_images import metrics
from kt_images.base_settings import Settings
from kt_images.database import attachments, images, orphans
from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import (
    CollectedError,
    DamagedStoreError,
    DiskFullError,
    DuplicateError,
    KtImagesError,
    OtherStoreError,
    SchemaError,
    TooSlowError,
    UnavailableError,
)
from kt_images.files import keys
from kt_images.files.decoders import Decoders
from kt_images.files.pictures import Picture
from kt_images.files.store import Received, Store
from kt_images.files.thumbnails import Thumbnails
from kt_images.models.attachments import Attachment
from kt_images.models.images import Image, ImageChanges, NewImage, OnDuplicate
from kt_images.shielding import shielded

# What becomes of an upload, for the metrics.
STORED, MERGED, REFUSED, FAILED, LEFT = RESULTS = ("stored", "merged", "refused", "failed", "left")
# The service's own; other errors are refusals.
FAULTS = (UnavailableError, TooSlowError, DiskFullError, DamagedStoreError, SchemaError, OtherStoreError)

for _result in RESULTS:
    metrics.UPLOADS.labels(_result)  # from the start on: a rate begins with the first one

# Of the places for uploads, what one client may occupy at most.
SHARE = 0.75


class Upload(Protocol):
    """A file on its way in. What its sender says about it is known once its bytes are read.

    `client` stands for the sender: those of one share what is scarce with those of the others.
    """

    client: str

    def file(self) -> AsyncIterator[bytes]:
        """Yield the bytes; end only when the whole request was read."""

    def check_digests(self, sha256: str) -> None:
        """Raise DigestMismatchError when the sender names another SHA-256."""


class ImageUpload(Upload, Protocol):
    """A file that becomes a new image."""

    def image(self) -> NewImage:
        """Return the new image's name and tags. Raises InvalidRequestError."""


class Uploads:
    """The way of a file from a request to the store and the database."""

    def __init__(self, db: Pool, store: Store, decoders: Decoders, thumbnails: Thumbnails, settings: Settings) -> None:
        self._db, self._store, self._decoders, self._thumbnails = db, store, decoders, thumbnails
        self._widths = settings.eager_widths
        self._max_size = settings.max_upload_size
        self._max_attachments = settings.max_attachments
        self._max_uploads = settings.max_uploads
        self._under_way: Counter[str] = Counter()  # of each client

    async def attach(self, upload: Upload, image_id: int, filename: str) -> Attachment:
        """Store a file as the image's attachment `filename`, replacing one of that name.

        Raises ImageNotFoundError, TooManyAttachmentsError, DigestMismatchError, UnavailableError, and what `receive()`
        and `inspect()` raise.
        """
        with _counted() as outcome, self._place(upload.client):
            await attachments.check_room(self._db, image_id, filename, self._max_attachments)
            async with self._received(upload) as received:
                picture = await self._decoders.inspect(received.path, self._widths, upload.client)
                attachment = await shielded(self._attach(received, picture, image_id, filename))
                outcome.append(STORED)
                return attachment

    async def create(self, upload: ImageUpload, on_duplicate: OnDuplicate) -> tuple[Image, bool]:
        """Store a file as a new image; return the image, and whether it is new.

        If an image has these bytes already, `on_duplicate` decides: CREATE stores another, REJECT raises
        DuplicateError, MERGE_TAGS adds the tags to that image. Raises InvalidRequestError when it would have too many,
        and what `attach()` raises.
        """
        with _counted() as outcome, self._place(upload.client):
            async with self._received(upload) as received:
                new = upload.image()
                picture = await self._decoders.inspect(received.path, self._widths, upload.client)
                image, is_new = await shielded(self._create(received, picture, new, on_duplicate))
                outcome.append(STORED if is_new else MERGED)
                return image, is_new

    @contextlib.contextmanager
    def _place(self, client: str) -> Iterator[None]:
        """Occupy one of the places for uploads. Raises UnavailableError when none is free for this client."""
        # Each holds up to a megabyte while it waits for its client; one that waited here would hold as much.
        most_of_one = max(1, int(self._max_uploads * SHARE))
        if self._under_way.total() >= self._max_uploads or self._under_way[client] >= most_of_one:
            raise UnavailableError("Too many uploads are being received; please try again")
        self._under_way[client] += 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            self._under_way = +self._under_way  # without those that have none

    @contextlib.asynccontextmanager
    async def _received(self, upload: Upload) -> AsyncIterator[Received]:
        async with self._store.receive(upload.file(), self._max_size) as received:
            upload.check_digests(received.sha256)
            yield received

    async def _attach(self, received: Received, picture: Picture, image_id: int, filename: str) -> Attachment:
        attachment = await self._keep(received, picture, image_id, filename)
        async with self._acknowledging(attachment):
            await attachments.put(self._db, attachment, self._store.entered)
        metrics.STORED_BYTES.inc(attachment.size)
        return attachment

    async def _create(
        self, received: Received, picture: Picture, new: NewImage, on_duplicate: OnDuplicate
    ) -> tuple[Image, bool]:
        if on_duplicate is not OnDuplicate.CREATE and await attachments.have_bytes(self._db, received.sha256):
            async with self._db.transaction() as connection:
                if merged := await _merge(connection, received, new, on_duplicate):
                    return merged, False
        image_id = await images.next_id(self._db)
        attachment = await self._keep(received, picture, image_id, new.filename)
        async with self._acknowledging(attachment), self._db.transaction() as connection:
            # Another upload of these bytes may have been faster since.
            if merged := await _merge(connection, received, new, on_duplicate):
                return merged, False
            await images.create_as(connection, image_id, new)
            await attachments.put(connection, attachment, self._store.entered)
        metrics.STORED_BYTES.inc(attachment.size)
        return Image(image_id=image_id, filename=new.filename, tags=new.tags), True

    async def _keep(self, received: Received, picture: Picture, image_id: int, filename: str) -> Attachment:
        key = keys.new_key(image_id, picture.extension)
        await orphans.expect(self._db, [key], store_id=self._store.entered)
        await self._store.keep(received, key, picture.content_type)
        await self._thumbnails.keep(picture.thumbnails, key)
        return Attachment(
            image_id=image_id,
            filename=filename,
            object_key=key,
            content_type=picture.content_type,
            size=received.size,
            sha256=received.sha256,
            width=picture.width,
            height=picture.height,
        )

    @contextlib.asynccontextmanager
    async def _acknowledging(self, attachment: Attachment) -> AsyncIterator[None]:
        """Write the row in this context. If the answer to that is lost, find out what became of it."""
        try:
            yield
        except CollectedError:
            # The object may have come after the collector: it has to be found once more. Raises StoreMovedError.
            await orphans.expect(self._db, [attachment.object_key], store_id=self._store.entered)
            raise
        except UnavailableError:
            # It may have been committed anyway. If that cannot be found out, the client has to ask again.
            if not await attachments.referenced(self._db, [attachment.object_key]):
                raise


@contextlib.contextmanager
def _counted() -> Iterator[list[str]]:
    """Count an upload by what becomes of it; yield where to write down that it has succeeded."""
    outcome: list[str] = []
    try:
        with metrics.UPLOADS_RUNNING.track_inprogress():
            yield outcome
    except (ConnectionError, asyncio.CancelledError):
        outcome.append(LEFT)
        raise
    except Exception as error:
        outcome.append(FAILED if isinstance(error, FAULTS) or not isinstance(error, KtImagesError) else REFUSED)
        raise
    finally:
        metrics.UPLOADS.labels(outcome[-1]).inc()


async def _merge(connection: Connection, received: Received, new: NewImage, on_duplicate: OnDuplicate) -> Image | None:
    """Return the image that has the bytes already, with the tags added; None if no image has them before the commit.

    Raises DuplicateError when a duplicate is to be rejected.
    """
    if on_duplicate is OnDuplicate.CREATE:
        return None
    twin = await attachments.lock_twin(connection, received.sha256)
    if twin and on_duplicate is OnDuplicate.REJECT:
        raise DuplicateError(twin)
    more = ImageChanges.model_validate({"add_tags": new.tags})
    return await images.change(connection, twin, more) if twin else None
