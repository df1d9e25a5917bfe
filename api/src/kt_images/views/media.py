"""/media/{image_id}/{filename}: the bytes of an attachment."""

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Union

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r206, r304, r404, r412, r413, r416
from pydantic import Field

from kt_images.errors import DamagedStoreError
from kt_images.fields import ImageId, Omittable
from kt_images.files import thumbnails
from kt_images.files.store import Content, InMemory
from kt_images.http import digests
from kt_images.http.conditions import client_has, wanted_part
from kt_images.http.sockets import break_when_stalled, send_file
from kt_images.http.validation import ValidationFailedError, detail
from kt_images.models import Attachment, Error
from kt_images.views import app_keys
from kt_images.views.attachments import AttachmentName
from kt_images.views.base import View
from kt_images.views.call import PICTURE, call

Width = Annotated[
    Omittable[Annotated[str, Field(json_schema_extra={"type": "integer"})]],
    Field(
        description="Download a thumbnail of at most this width in pixels. The setting KT_IMAGES_THUMBNAIL_WIDTHS has "
        "the widths that can be asked for, unless changed 160, 320, 640 and 1280."
    ),
]


@dataclass(frozen=True)
class Representation:
    """What to send: an object of the store, by its key, or a thumbnail's bytes."""

    content_type: str
    size: int
    sha256: str
    source: str | bytes


class MediaView(View):
    """The bytes of an attachment."""

    group = "Attachments"

    @call("download_attachment", answers={200: PICTURE, 206: PICTURE})
    async def get(
        self, image_id: ImageId, filename: AttachmentName, /, width: Width = None
    ) -> Union[r200, r206, r304, r404[Error], r412[Error], r413[Error], r416[Error]]:
        """Download an attachment or a thumbnail of it.

        A picture that is no wider than `width` is sent as it is. Thumbnails are WebP pictures and carry no metadata.

        Status Codes:
            200: The bytes.
            206: The bytes that the header Range asks for.
            304: The client has this version already.
            412: The stored file is not the version that the header If-Match names.
            413: Making the thumbnail takes more memory than the settings allow.
            416: The range starts beyond the end of the file.
        """
        widest = self._allowed(width)
        attachment = await self.shared.read_attachment(image_id, filename)
        try:
            return await self._answer(attachment, widest)
        except DamagedStoreError:
            latest = await self.shared.read_attachment(image_id, filename)
            if latest.object_key == attachment.object_key:
                await self.store.check()  # an unreachable store is not a damaged one
                raise
            return await self._answer(latest, widest)  # it was replaced after the first look

    head = get

    def _allowed(self, width: str | None) -> int | None:
        allowed = {str(one): one for one in self.settings.thumbnail_widths}
        if width is not None and width not in allowed:
            raise ValidationFailedError(
                [detail("query string", ["width"], f"Thumbnails are {', '.join(allowed)} pixels wide")]
            )
        return allowed[width] if width else None

    async def _answer(self, attachment: Attachment, widest: int | None) -> web.StreamResponse:
        content = await self._content(attachment, widest)
        # Another file may replace this one: a cache has to ask each time, and usually gets a 304.
        headers = {
            "ETag": f'"{content.sha256}"',
            "Repr-Digest": digests.header(content.sha256),
            "Cache-Control": "no-cache",
        }
        if client_has(self.request, content.sha256):
            return web.Response(status=304, headers=headers)
        headers |= {"Content-Type": content.content_type, "Accept-Ranges": "bytes"}
        if self.settings.accel_location and isinstance(content.source, str):
            # The proxy in front sends the bytes, and handles ranges.
            return web.Response(headers={**headers, "X-Accel-Redirect": self.settings.accel_location + content.source})
        part = wanted_part(self.request, content.sha256, content.size)
        async with self._open(content, part) as body:
            break_when_stalled(self.request, self.settings.send_timeout)
            return await _send(self.request, body, content.size, part, headers)

    async def _content(self, attachment: Attachment, widest: int | None) -> Representation:
        if widest is None or attachment.width <= widest:
            return Representation(attachment.content_type, attachment.size, attachment.sha256, attachment.object_key)
        small = await self.request.app[app_keys.THUMBNAILS].get(attachment, widest)
        return Representation(thumbnails.CONTENT_TYPE, len(small), sha256(small).hexdigest(), small)

    def _open(self, content: Representation, part: range | None) -> AbstractAsyncContextManager[Content]:
        if isinstance(content.source, bytes):
            return nullcontext(InMemory(content.source[part.start : part.stop] if part else content.source))
        return self.store.content(content.source, content.size, part)


async def _send(
    request: web.Request, body: Content, size: int, part: range | None, headers: dict[str, str]
) -> web.StreamResponse:
    """Send the body, which is all of `size` bytes or a part of them."""
    response = web.StreamResponse(headers=headers)
    if part:
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    sent = part or range(size)
    response.content_length = len(sent)
    await response.prepare(request)
    if request.method == HTTPMethod.HEAD:
        return response
    descriptor = body.fileno()
    if descriptor is not None and not request.secure:  # with TLS, aiohttp has to encrypt the bytes
        await send_file(request, descriptor, sent)
        return response
    async for received in body:
        await response.write(received)
    return response
