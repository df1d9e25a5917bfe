"""The statements that concurrent requests share, on one pool: reads of single rows, and the creation of images."""

from functools import partial

from kt_images.database import attachments, images, keys
from kt_images.database.batcher import Batcher
from kt_images.database.images import Document
from kt_images.database.keys import Known
from kt_images.database.pool import Pool
from kt_images.errors import AttachmentNotFoundError, ImageNotFoundError, KtImagesError
from kt_images.models.attachments import Attachment
from kt_images.models.images import NewImage


class Shared:
    """Each method is one request's part of a statement. All raise what `Pool.query()` does."""

    def __init__(self, db: Pool) -> None:
        self._reads = Batcher(partial(images.read, db))
        self._creations = Batcher(partial(images.create, db))
        self._attachments = Batcher(partial(attachments.read, db))
        self._pictures = Batcher(partial(attachments.pictures, db))
        self._keys = Batcher(partial(keys.find, db))

    async def read_image(self, image_id: int) -> Document:
        """Return the image. Raises ImageNotFoundError."""
        if document := await self._reads.ask(image_id):
            return document
        raise ImageNotFoundError(image_id)

    async def create_image(self, new: NewImage) -> Document:
        """Store a new image; return it with its id. Raises CommitInDoubtError when it may be stored or not."""
        return await self._creations.ask(new)

    async def read_attachment(self, image_id: int, filename: str) -> Attachment:
        """Return the attachment. Raises AttachmentNotFoundError."""
        if attachment := await self._attachments.ask((image_id, filename)):
            return attachment
        raise AttachmentNotFoundError

    async def read_picture(self, image_id: int) -> Attachment:
        """Return the attachment that stands for the image. Raises ImageNotFoundError, NoPictureError."""
        found = await self._pictures.ask(image_id)
        if isinstance(found, KtImagesError):
            raise found
        return found

    async def find_key(self, key_id: str) -> Known | None:
        """Return what a secret of this key is compared with, or None if there is no such key."""
        return await self._keys.ask(key_id)
