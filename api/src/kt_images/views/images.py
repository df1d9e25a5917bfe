"""/images: create, list, read, change, delete."""

from contextlib import aclosing
from typing import Annotated

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r201, r204, r404
from pydantic import Field

from kt_images.database import images
from kt_images.database.stream import Pace, chunks
from kt_images.errors import UnavailableError
from kt_images.fields import MAX_ID, Count, ImageId, Position, Tag
from kt_images.models import Error, Image, ImageChanges, ImageList, NewImage, Selection
from kt_images.views import app_keys
from kt_images.views.base import View, json_answer
from kt_images.views.listing import send, wanted_format


class ImagesView(View):
    """All images."""

    async def get(
        self,
        tag: list[Tag] = Field(default_factory=list, description="Only images with this tag."),
        tags_all: list[Tag] = Field(default_factory=list, description="Only images with all of these tags."),
        tags_any: list[Tag] = Field(default_factory=list, description="Only images with one of these tags or more."),
        tags_none: list[Tag] = Field(default_factory=list, description="Only images with none of these tags."),
        after: Annotated[Position, Field(description="Only images with a greater image_id.")] = 0,
        limit: Annotated[Count, Field(description="At most so many images.")] = MAX_ID,
    ) -> r200[ImageList]:
        """List images by ascending image_id, streamed, all filters joined by AND.

        The list ends with its totals, which are sent only when every image was sent. A list that breaks off without
        them is not complete. With `Accept: application/x-ndjson` each image stands on a line of its own.

        Status Codes:
            200: Chunks of images, then the totals.
        """
        most = None if limit == MAX_ID else limit
        wanted = Selection(tags_all=tag + tags_all, tags_any=tags_any, tags_none=tags_none, after=after, limit=most)
        form, settings = wanted_format(self.request), self.settings
        pace = Pace(settings.chunk_size, lease=settings.stream_lease, patience=settings.stream_patience)
        pool, streams = self.reader.streams, self.request.app[app_keys.STREAMS]
        if streams.locked():
            raise UnavailableError("The service sends as many lists as it can, please try again")
        async with streams, aclosing(chunks(pool, wanted, form.chunk, pace)) as stream:
            return await send(self.request, stream, form, settings.send_timeout)

    head = get

    async def post(self, image: NewImage) -> r201[Image]:
        """Store an image's name and tags; its file is uploaded to its attachments.

        Status Codes:
            201: The image with its image_id.
        """
        created = await images.create(self.db, image)
        return json_answer(created, status=201, Location=f"/images/{created.image_id}")


class ImageView(View):
    """One image."""

    async def get(self, image_id: ImageId, /) -> r200[Image] | r404[Error]:
        """Read an image.

        Status Codes:
            200: The image.
        """
        return json_answer(await images.read(self.reader.statements, image_id))

    head = get

    async def patch(self, image_id: ImageId, /, changes: ImageChanges) -> r200[Image] | r404[Error]:
        """Change an image; what is left out stays as it is.

        Status Codes:
            200: The image as it now is.
        """
        return json_answer(await images.change(self.db, image_id, changes))

    async def delete(self, image_id: ImageId, /) -> r204 | r404[Error]:
        """Delete an image and its attachments.

        Status Codes:
            204: It is gone.
        """
        await images.delete(self.db, image_id)
        return web.Response(status=204)
