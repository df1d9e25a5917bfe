"""Storing an upload: the bytes first, the row that makes them exist last."""

from kt_images.database import attachments, images
from kt_images.database.pool import Pool
from kt_images.errors import DuplicateError, UnavailableError
from kt_images.files.pictures import Picture
from kt_images.files.store import Received, Store
from kt_images.models import Attachment, Image, ImageChanges, NewImage, OnDuplicate
from kt_images.shielding import shielded


async def attach(
    pool: Pool, files: Store, received: Received, picture: Picture, image_id: int, filename: str
) -> Attachment:
    """Store the received file as the image's attachment `filename`, in the place of one of that name.

    A client that leaves meanwhile changes nothing: a file that was kept gets its row. Raises ImageNotFoundError,
    DiskFullError, UnavailableError.
    """
    return await shielded(_attach(pool, files, received, picture, image_id, filename))


async def create(
    pool: Pool, files: Store, received: Received, picture: Picture, new: NewImage, on_duplicate: OnDuplicate
) -> tuple[Image, bool]:
    """Store a new image with the received file; return it, and whether it is new.

    When an image has these bytes already, `on_duplicate` decides: there are two, or DuplicateError is raised, or that
    image gets the tags. Also raises InvalidRequestError for too many of them, DiskFullError, UnavailableError.
    """
    return await shielded(_create(pool, files, received, picture, new, on_duplicate))


async def _attach(
    pool: Pool, files: Store, received: Received, picture: Picture, image_id: int, filename: str
) -> Attachment:
    attachment = await _keep(files, received, picture, image_id, filename)
    try:
        await attachments.put(pool, attachment)
    except UnavailableError:
        # The row may have been written all the same. If that cannot be known, the file stays for the collector.
        if not await attachments.names(pool, attachment.object_key):
            raise
    return attachment


async def _create(
    pool: Pool, files: Store, received: Received, picture: Picture, new: NewImage, on_duplicate: OnDuplicate
) -> tuple[Image, bool]:
    attachment = None
    try:
        async with pool.transaction() as connection:
            if on_duplicate is not OnDuplicate.CREATE:
                twin = await attachments.lock_twin(connection, received.sha256)
                if twin and on_duplicate is OnDuplicate.REJECT:
                    raise DuplicateError(twin)
                if twin:
                    more = ImageChanges.model_validate({"add_tags": new.tags})
                    return await images.change(connection, twin, more), False
            image = await images.create(connection, new)
            attachment = await _keep(files, received, picture, image.image_id, image.filename)
            await attachments.put(connection, attachment)
    except UnavailableError:
        if not attachment or not await attachments.names(pool, attachment.object_key):
            raise
    return image, True


async def _keep(files: Store, received: Received, picture: Picture, image_id: int, filename: str) -> Attachment:
    return Attachment(
        image_id=image_id,
        filename=filename,
        object_key=await files.keep(received, image_id, picture.extension),
        content_type=picture.content_type,
        size=received.size,
        sha256=received.sha256,
        width=picture.width,
        height=picture.height,
    )
