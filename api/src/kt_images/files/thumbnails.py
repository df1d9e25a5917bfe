"""Thumbnails: made at the upload or on first request, and kept beside their originals."""

import asyncio
import functools
from collections import Counter
from contextvars import Context

from kt_images import metrics
from kt_images.errors import (
    DamagedStoreError,
    DiskFullError,
    InvalidRequestError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from kt_images.files.decoders import Decoders
from kt_images.files.keys import thumbnail_key
from kt_images.files.store import InMemory, Store, read_all
from kt_images.logs import sparing_logger
from kt_images.models.attachments import Attachment

logger = sparing_logger(__name__)

CONTENT_TYPE = "image/webp"

# Larger thumbnails, which are rare, are always read by a thread.
SMALL = 2**18


class Thumbnails:
    """The thumbnails of a store, each made once however many ask for it at the same time."""

    def __init__(self, store: Store, decoders: Decoders) -> None:
        self._store, self._decoders = store, decoders
        self._making: dict[str, asyncio.Task[bytes]] = {}
        self._waiting: Counter[str] = Counter()

    async def get(self, original: Attachment, width: int) -> bytes:
        """Return the original as a WebP at most `width` wide.

        Raises DamagedStoreError, UnavailableError, and TooLargeError when the settings have become stricter.
        """
        key = thumbnail_key(original.object_key, width)
        if at_hand := self._store.at_hand(key, SMALL):
            return at_hand
        try:
            async with self._store.content(key) as content:
                return await read_all(content)
        except DamagedStoreError:  # not made yet, most of the time
            return await self._made(original, width, key)

    async def _made(self, original: Attachment, width: int, key: str) -> bytes:
        """Return the thumbnail that is being made; one that nobody waits for any more is given up."""
        if key not in self._making:
            # For all who ask for it meanwhile: its lines in the log are not of the request that came first.
            self._making[key] = asyncio.create_task(self._make(original, width, key), context=Context())
            self._making[key].add_done_callback(lambda task: self._end(key, task))
        making = self._making[key]
        self._waiting[key] += 1
        try:
            return await asyncio.shield(making)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                making.cancel()
                self._forget(key, making)  # the next who asks has it made again

    def _end(self, key: str, task: asyncio.Task[bytes]) -> None:
        if not task.cancelled():
            task.exception()  # whoever waits has it; if nobody does, asyncio would log it as lost
        self._forget(key, task)

    def _forget(self, key: str, task: asyncio.Task[bytes]) -> None:
        if self._making.get(key) is task:
            del self._making[key]

    async def _make(self, original: Attachment, width: int, key: str) -> bytes:
        original_file = functools.partial(self._store.local_file, original.object_key, original.size)
        try:
            thumbnail = await self._decoders.shrink(original_file, width)
        except (InvalidRequestError, UnsupportedMediaTypeError) as error:
            raise DamagedStoreError from error
        metrics.THUMBNAILS_MADE.inc()
        try:
            await self._keep(thumbnail, key)
            await self._remove_unless(original, key)
        except (DiskFullError, UnavailableError) as error:
            logger.warning("A thumbnail could not be kept: %s", error)
        return thumbnail

    async def keep(self, thumbnails: dict[int, bytes], object_key: str) -> None:
        """Keep the thumbnails of an object that is on its way, by their widths; one that cannot be kept is made later.

        The object must be known to the collector, which removes them with it if it never arrives.
        """
        for width, thumbnail in thumbnails.items():
            try:
                await self._keep(thumbnail, thumbnail_key(object_key, width))
            except (DiskFullError, UnavailableError) as error:
                logger.warning("A thumbnail could not be kept: %s", error)

    async def _keep(self, thumbnail: bytes, key: str) -> None:
        async with self._store.receive(InMemory(thumbnail), len(thumbnail)) as received:
            await self._store.keep(received, key, CONTENT_TYPE)

    async def _remove_unless(self, original: Attachment, key: str) -> None:
        """Remove the thumbnail if its original is gone: the collector was here, and comes for it no more."""
        try:
            async with self._store.content(original.object_key, part=range(0)):
                pass
        except DamagedStoreError:
            await self._store.remove([key])
