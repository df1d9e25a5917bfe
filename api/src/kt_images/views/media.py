"""/media/{image_id}/{filename}: the bytes of a file."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Union

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r206, r304, r404, r412, r416
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from kt_images.database import attachments
from kt_images.errors import DamagedStoreError
from kt_images.fields import ImageId
from kt_images.files import thumbnails
from kt_images.files.store import Content, OnDisk
from kt_images.http import digests
from kt_images.http.conditions import client_has, wanted_part
from kt_images.http.problems import ValidationFailedError, detail
from kt_images.http.sockets import break_when_stalled, send_file
from kt_images.models import Attachment, Error
from kt_images.views import app_keys
from kt_images.views.attachments import AttachmentName
from kt_images.views.base import View

Width = Annotated[
    str,
    Field(
        description="A smaller picture, at most that wide: one of the widths of the setting THUMBNAIL_WIDTHS.",
        json_schema_extra={"type": "integer"},
    ),
]


@dataclass(frozen=True)
class Representation:
    """What is sent: an object, named by its key, or a thumbnail's bytes."""

    content_type: str
    size: int
    sha256: str
    source: str | bytes


class MediaView(View):
    """The bytes of a file."""

    async def get(
        self, image_id: ImageId, filename: AttachmentName, /, width: Width | SkipJsonSchema[None] = None
    ) -> Union[r200, r206, r304, r404[Error], r412[Error], r416[Error]]:
        """Download or view a file, or a smaller picture of it.

        A file that is not wider than `width` is answered as it is; smaller pictures are WebP, without any metadata.

        Status Codes:
            200: The bytes.
            206: The bytes that the header Range asked for.
            304: The client has them already.
            412: The file is another than the header If-Match asked for.
            416: The file has no such bytes.
        """
        widest = self._allowed(width)
        attachment = await attachments.read(self.db, image_id, filename)
        try:
            return await self._answer(attachment, widest)
        except DamagedStoreError:
            latest = await attachments.read(self.db, image_id, filename)
            if latest.object_key == attachment.object_key:
                await self.store.check()  # all of it may be gone: that is no damage
                raise
            return await self._answer(latest, widest)  # it was replaced between the two looks

    head = get

    def _allowed(self, width: str | None) -> int | None:
        allowed = {str(one): one for one in self.settings.thumbnail_widths}
        if width is not None and width not in allowed:
            raise ValidationFailedError([detail("query string", ["width"], f"One of: {', '.join(allowed)}")])
        return allowed[width] if width else None

    async def _answer(self, attachment: Attachment, widest: int | None) -> web.StreamResponse:
        content = await self._content(attachment, widest)
        # The name may get another file: a cache asks each time, and mostly gets a 304.
        headers = {
            "ETag": f'"{content.sha256}"',
            "Repr-Digest": digests.header(content.sha256),
            "Cache-Control": "no-cache",
        }
        if client_has(self.request, content.sha256):
            return web.Response(status=304, headers=headers)
        headers |= {"Content-Type": content.content_type, "Accept-Ranges": "bytes"}
        if self.settings.accel_location and isinstance(content.source, str):
            # The proxy in front sends the bytes, and looks at ranges.
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
            return nullcontext(_at_once(content.source[part.start : part.stop] if part else content.source))
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
    if isinstance(body, OnDisk) and not request.secure:  # what is encrypted has to pass through here
        await send_file(request, body.fileno(), sent)
        return response
    async for piece in body:
        await response.write(piece)
    return response


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    yield content
