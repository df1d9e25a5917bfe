"""Storing an upload: the bytes first, the row that makes them exist last."""

import asyncio
from collections.abc import AsyncIterable, Coroutine
from typing import Any

from kt_images.database import attachments
from kt_images.database.pool import Pool
from kt_images.errors import InvalidRequestError
from kt_images.files import pictures
from kt_images.files.pictures import Picture
from kt_images.files.store import Received, Store
from kt_images.models import Attachment


async def store(
    pool: Pool,
    files: Store,
    image_id: int,
    filename: str,
    pieces: AsyncIterable[bytes],
    max_size: int,
    max_pixels: int,
) -> Attachment:
    """Store the bytes as the image's attachment `filename`, in the place of one of that name.

    Nothing is stored unless all of it is: the bytes are on disk under a key of their own before the row names it.
    Raises ImageNotFoundError, TooLargeError, UnsupportedMediaTypeError, DiskFullError, and InvalidRequestError for an
    empty or damaged picture.
    """
    async with files.receive(pieces, max_size) as received:
        if not received.size:
            raise InvalidRequestError("The file is empty")
        picture = await asyncio.to_thread(pictures.inspect, received.path, max_pixels)
        return await _to_the_end(_keep(pool, files, image_id, filename, received, picture))


async def _keep(
    pool: Pool, files: Store, image_id: int, filename: str, received: Received, picture: Picture
) -> Attachment:
    attachment = Attachment(
        image_id=image_id,
        filename=filename,
        object_key=await files.keep(received, image_id, picture.extension),
        content_type=picture.content_type,
        size=received.size,
        sha256=received.sha256,
        width=picture.width,
        height=picture.height,
    )
    await attachments.put(pool, attachment)
    return attachment


async def _to_the_end(step: Coroutine[Any, Any, Attachment]) -> Attachment:
    """Run `step` whole even when its client leaves meanwhile: a file that was kept must get its row."""
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
