"""/images/{image_id}/attachments and /images/{image_id}/attachment/{filename}: the files of an image."""

from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r204, r302, r404, r408, r413, r415, r507
from pydantic import Field
from yarl import URL

from kt_images.database import attachments, images
from kt_images.fields import Filename, ImageId
from kt_images.http.forms import Form
from kt_images.models import Attachment, Error, StoredFile, StoredFiles
from kt_images.views.base import View, json_answer

AttachmentName = Annotated[Filename, Field(description="The name under which the file is stored.")]


class AttachmentsView(View):
    """All files of an image."""

    async def get(self, image_id: ImageId, /) -> r200[StoredFiles] | r404[Error]:
        """List an image's files by their names.

        Status Codes:
            200: The files; none is an empty list.
        """
        stored = await attachments.read_all(self.db, image_id)
        if not stored:
            await images.read(self.db, image_id)
        return json_answer(StoredFiles([_shown(one) for one in stored]))

    head = get


class AttachmentView(View):
    """One file of an image."""

    async def get(self, image_id: ImageId, filename: AttachmentName, /) -> r302 | r404[Error]:
        """Find a file.

        Status Codes:
            302: The header Location names where its bytes are.
        """
        await attachments.read(self.db, image_id, filename)
        raise web.HTTPFound(URL(_media_url(image_id, filename), encoded=True))

    head = get

    async def post(
        self, image_id: ImageId, filename: AttachmentName, /
    ) -> r200 | r404[Error] | r408[Error] | r413[Error] | r415[Error] | r507[Error]:
        """Store a file, the form's part `image`, in the place of one of the same name.

        Its bytes are checked against the SHA-256 of a header Repr-Digest or Content-Digest (RFC 9530), sent with the
        part or with the request; either way it is that of the file.

        Status Codes:
            200: It is stored, for good.
            413: It has more bytes or more pixels than the settings allow.
            415: It is no picture of a supported type.
            507: The disk is full.
        """
        stored = await self.uploads.attach(Form(self.request, self.settings), image_id, filename)
        return web.Response(text=f"{stored.filename} sized of {stored.size} successfully stored")

    async def delete(self, image_id: ImageId, filename: AttachmentName, /) -> r204 | r404[Error]:
        """Delete a file.

        Status Codes:
            204: It is gone.
        """
        await attachments.delete(self.db, image_id, filename)
        return web.Response(status=204)


def _shown(attachment: Attachment) -> StoredFile:
    return StoredFile(**attachment.model_dump(), url=_media_url(attachment.image_id, attachment.filename))


def _media_url(image_id: int, filename: str) -> str:
    return f"/media/{image_id}/{quote(filename, safe='')}"
