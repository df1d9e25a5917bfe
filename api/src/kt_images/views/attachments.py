"""/images/{image_id}/attachments, /images/{image_id}/attachment/{filename} and /attachments: the files of images."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPMethod
from typing import Annotated, Any
from urllib.parse import quote

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r204, r302, r404, r408, r409, r413, r415, r507
from pydantic import Field
from yarl import URL

from kt_images.database import attachments
from kt_images.fields import Filename, ImageId, Sha256
from kt_images.http.addresses import prefix
from kt_images.http.forms import Form
from kt_images.http.sockets import break_when_stalled
from kt_images.models.attachments import (
    Attachment,
    FoundAttachment,
    FoundAttachments,
    ImageAttachment,
    ImageAttachments,
)
from kt_images.models.errors import Error
from kt_images.models.scopes import Scope
from kt_images.views.base import JSON, View, json_answer
from kt_images.views.call import FILE, TEXT, call

MOST_DIGESTS = 100
# Attachments that are read and rendered at once.
PAGE = 1000

AttachmentName = Annotated[Filename, Field(description="The attachment's name.")]


class AttachmentsView(View):
    """All attachments of an image."""

    group = "Attachments"

    @call("list_attachments", Scope.READ)
    async def get(self, image_id: ImageId, /) -> r200[ImageAttachments] | r404[Error]:
        """List an image's attachments by filename.

        Status Codes:
            200: The attachments; an empty list if the image has none.
        """
        async with aclosing(attachments.pages(self.db, image_id, PAGE)) as pages:
            first: list[Attachment] = await anext(pages, [])
            if not first:
                await self.shared.read_image(image_id)
            if len(first) < PAGE:
                return json_answer(ImageAttachments(self._seen(first)))
            return await self._stream(first, pages)

    async def _stream(self, first: list[Attachment], pages: AsyncIterator[list[Attachment]]) -> web.StreamResponse:
        """Send many attachments page by page; a failure in the middle breaks the connection."""
        response = web.StreamResponse(headers={"Content-Type": JSON})
        break_when_stalled(self.request, self.settings.send_timeout)
        await response.prepare(self.request)
        if self.request.method == HTTPMethod.HEAD:
            return response
        await response.write(b"[" + self._rendered(first))
        async for page in pages:
            await response.write(b"," + self._rendered(page))
        await response.write_eof(b"]")
        return response

    def _seen(self, page: list[Attachment]) -> list[ImageAttachment]:
        before = prefix(self.request)
        return [ImageAttachment(**_shown(one, before)) for one in page]

    def _rendered(self, page: list[Attachment]) -> bytes:
        return ",".join(one.model_dump_json() for one in self._seen(page)).encode()

    head = get


class AttachmentView(View):
    """One attachment of an image."""

    group = "Attachments"

    @call("find_attachment", Scope.READ, answers={302: TEXT})
    async def get(self, image_id: ImageId, filename: AttachmentName, /) -> r302 | r404[Error]:
        """Find an attachment's bytes.

        Status Codes:
            302: The header Location has the URL of the bytes.
        """
        await self.shared.read_attachment(image_id, filename)
        raise web.HTTPFound(URL(_media_url(image_id, filename), encoded=True))

    head = get

    @call("upload_attachment", Scope.WRITE, form=FILE, answers={200: TEXT})
    async def post(
        self, image_id: ImageId, filename: AttachmentName, /
    ) -> r200 | r404[Error] | r408[Error] | r409[Error] | r413[Error] | r415[Error] | r507[Error]:
        """Store a file as an attachment of an image.

        The file is the form's field `image`; its own file name is ignored. It replaces an attachment of the same name.
        If the form's part or the request has a header Repr-Digest or Content-Digest (RFC 9530) with a SHA-256, it must
        be that of the file.

        Status Codes:
            200: The file is stored and will survive a power cut.
            409: The image has as many attachments as the settings allow.
            413: The file has more bytes or more pixels than the settings allow.
            415: The file is not a JPEG, PNG, GIF, WebP, AVIF, HEIC, HEIF, TIFF or BMP picture.
            507: The disk is full.
        """
        stored = await self.uploads.attach(Form(self.request, self.settings), image_id, filename)
        return web.Response(text=f"{stored.filename} sized of {stored.size} successfully stored")

    @call("delete_attachment", Scope.DELETE)
    async def delete(self, image_id: ImageId, filename: AttachmentName, /) -> r204 | r404[Error]:
        """Delete an attachment.

        Status Codes:
            204: The attachment is deleted.
        """
        await attachments.delete(self.db, image_id, filename)
        return web.Response(status=204)


class FoundAttachmentsView(View):
    """The attachments of all images."""

    group = "Attachments"

    @call("find_attachments_by_sha256", Scope.READ)
    async def get(
        self,
        sha256: list[Sha256] = Field(
            min_length=1,
            max_length=MOST_DIGESTS,
            description="Only attachments with these bytes: repeat the parameter, up to 100 times.",
        ),
    ) -> r200[FoundAttachments]:
        """Find attachments by the SHA-256 of their bytes.

        With this call a client learns which files are stored already before it sends any. If more than 100 attachments
        have the same bytes, the first 100 are listed.

        Status Codes:
            200: The attachments by image_id and filename; an empty list if there are none.
        """
        stored = await attachments.read_by_bytes(self.db, sha256)
        before = prefix(self.request)
        return json_answer(FoundAttachments([FoundAttachment(**_shown(one, before)) for one in stored]))

    head = get


def _shown(attachment: Attachment, before: str) -> dict[str, Any]:
    url = f"{before}{_media_url(attachment.image_id, attachment.filename)}?sha256={attachment.sha256}"
    return attachment.model_dump() | {"url": url}


def _media_url(image_id: int, filename: str) -> str:
    return f"/media/{image_id}/{quote(filename, safe='')}"
