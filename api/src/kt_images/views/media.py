"""/media/{image_id}/{filename}: the bytes of a file."""

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r206, r304, r404, r416

from kt_images.database import attachments
from kt_images.models import Error, ImageId
from kt_images.views.attachments import AttachmentName
from kt_images.views.base import View


class MediaView(View):
    """The bytes of a file."""

    async def get(self, image_id: ImageId, filename: AttachmentName, /) -> r200 | r206 | r304 | r404[Error] | r416:
        """Download or view a file.

        Status Codes:
            200: The bytes.
            206: The bytes that the header Range asked for.
            304: The client has them already.
            416: The file has no such bytes.
        """
        attachment = await attachments.read(self.pool, image_id, filename)
        return web.FileResponse(
            self.store.path(attachment.object_key), headers={"Content-Type": attachment.content_type}
        )

    head = get
