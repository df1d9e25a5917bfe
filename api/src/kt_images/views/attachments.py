"""/images/{image_id}/attachment/{filename}: the files of an image."""

from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r302, r404, r413, r415, r507
from pydantic import Field
from yarl import URL

from kt_images import uploads
from kt_images.database import attachments, images
from kt_images.models import Error, Filename, ImageId
from kt_images.views.base import View
from kt_images.views.multipart import file_pieces

FIELD = "image"

AttachmentName = Annotated[Filename, Field(description="The name under which the file is stored.")]


class AttachmentView(View):
    """One file of an image."""

    async def get(self, image_id: ImageId, filename: AttachmentName, /) -> r302 | r404[Error]:
        """Find a file.

        Status Codes:
            302: The header Location names where its bytes are.
        """
        await attachments.read(self.pool, image_id, filename)
        raise web.HTTPFound(URL(f"/media/{image_id}/{quote(filename, safe='')}", encoded=True))

    head = get

    async def post(
        self, image_id: ImageId, filename: AttachmentName, /
    ) -> r200 | r404[Error] | r413[Error] | r415[Error] | r507[Error]:
        """Store a file, the body's part `image`, in the place of one of the same name.

        Status Codes:
            200: It is stored, for good.
            413: It has more bytes or more pixels than the settings allow.
            415: It is no picture of a supported type.
            507: The disk is full.
        """
        await images.read(self.pool, image_id)
        size, pixels = self.settings.max_upload_size, self.settings.max_pixels
        pieces = file_pieces(self.request, FIELD, size)
        stored = await uploads.store(self.pool, self.store, image_id, filename, pieces, size, pixels)
        return web.Response(text=f"{stored.filename} sized of {stored.size} successfully stored")
