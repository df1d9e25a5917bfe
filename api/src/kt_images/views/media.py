"""/media/{image_id}/{filename}: the bytes of a file."""

import asyncio
from http import HTTPMethod, HTTPStatus
from io import FileIO
from typing import Union

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r206, r304, r404, r412, r416

from kt_images.database import attachments
from kt_images.models import Error, ImageId
from kt_images.views import digests
from kt_images.views.attachments import AttachmentName
from kt_images.views.base import View
from kt_images.views.conditions import client_has, wanted_part

# Sent in one go, within a deadline.
PIECE = 2**20
# How long a client may take for a piece: some 17 KB/s.
PIECE_SECONDS = 60.0


class MediaView(View):
    """The bytes of a file."""

    async def get(
        self, image_id: ImageId, filename: AttachmentName, /
    ) -> Union[r200, r206, r304, r404[Error], r412[Error], r416[Error]]:
        """Download or view a file.

        Status Codes:
            200: The bytes.
            206: The bytes that the header Range asked for.
            304: The client has them already.
            412: The file is another than the header If-Match asked for.
            416: The file has no such bytes.
        """
        attachment = await attachments.read(self.pool, image_id, filename)
        # The name may get another file: a cache asks each time, and mostly gets a 304.
        headers = {
            "ETag": f'"{attachment.sha256}"',
            "Repr-Digest": digests.header(attachment.sha256),
            "Cache-Control": "no-cache",
        }
        if client_has(self.request, attachment.sha256):
            return web.Response(status=304, headers=headers)
        part = wanted_part(self.request, attachment.sha256, attachment.size)
        headers |= {"Content-Type": attachment.content_type, "Accept-Ranges": "bytes"}
        with await asyncio.to_thread(self.store.open_object, attachment.object_key, attachment.size) as file:
            return await _send(self.request, file, attachment.size, part, headers)

    head = get


async def _send(
    request: web.Request, file: FileIO, size: int, part: range | None, headers: dict[str, str]
) -> web.StreamResponse:
    """Send the file, or a part of it, from the disk to the socket without a detour through this process."""
    response = web.StreamResponse(headers=headers)
    if part:
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    sent = part or range(size)
    response.content_length = len(sent)
    await response.prepare(request)
    if request.method != HTTPMethod.HEAD:
        for start in range(sent.start, sent.stop, PIECE):
            if request.transport is None:
                raise ConnectionResetError
            async with asyncio.timeout(PIECE_SECONDS):
                count = min(PIECE, sent.stop - start)
                await asyncio.get_running_loop().sendfile(request.transport, file, start, count)
    return response
