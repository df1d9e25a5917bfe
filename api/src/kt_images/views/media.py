"""/media/{image_id}/{filename}: the bytes of an attachment."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPMethod
from typing import Annotated, Union

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r206, r304, r404, r412, r413, r416
from pydantic import Field

from kt_images.base_settings import Access
from kt_images.database import stores
from kt_images.errors import DamagedObjectError, DamagedStoreError, ReplacedError
from kt_images.fields import ImageId, Omittable, Sha256
from kt_images.files import thumbnails
from kt_images.http import digests
from kt_images.http.conditions import client_has, wanted_part
from kt_images.http.sockets import break_when_stalled
from kt_images.http.validation import ValidationFailedError, detail
from kt_images.models.attachments import Attachment
from kt_images.models.errors import Error
from kt_images.models.scopes import Scope
from kt_images.views import app_keys
from kt_images.views.attachments import AttachmentName
from kt_images.views.base import View
from kt_images.views.call import PICTURE, call
from kt_images.views.handover import hand_over
from kt_images.views.sending import Delivery, Room

Width = Annotated[
    Omittable[Annotated[str, Field(json_schema_extra={"type": "integer"})]],
    Field(
        description="Download a thumbnail of at most this width in pixels. The setting KT_IMAGES_THUMBNAIL_WIDTHS has "
        "the widths that can be asked for, unless changed 160, 320, 640 and 1280."
    ),
]

Version = Annotated[
    Omittable[Sha256],
    Field(
        description="Download the attachment only if it has these bytes: such an answer never changes, and caches need "
        "not ask again."
    ),
]

UNCHANGING = "public, max-age=31536000, immutable"
# Where reading needs a key, no cache keeps it for others.
UNCHANGING_PRIVATE = "private, max-age=31536000, immutable"
# Another file may take this one's place: a cache has to ask each time, and usually gets a 304.
CHANGING = "no-cache"

# Bytes of a file that is read at once, where it is in the kernel's memory, and sent together with the answer's head.
SMALL = 2**20


@dataclass(frozen=True)
class Representation:
    """What to send: the object of the store with this `key`, or the bytes of a thumbnail."""

    content_type: str
    size: int
    sha256: str
    key: str = ""
    small: bytes | None = None


class Download(View):
    """What is sent as a file of the store, or as a thumbnail of it."""

    async def deliver(
        self, find: Callable[[], Awaitable[Attachment]], widest: int | None, version: str | None = None
    ) -> web.StreamResponse:
        """Answer with what is found, once more if it is replaced meanwhile."""
        attachment = await find()
        try:
            return await self._answer(attachment, widest, version)
        except DamagedStoreError as error:
            latest = await find()
            if latest.object_key == attachment.object_key:
                await self.store.check()  # an unreachable store is not a damaged one,
                await stores.check(self.db, self.store.entered)  # nor is one whose files were moved
                raise DamagedObjectError(attachment.object_key, attachment.image_id) from error
            return await self._answer(latest, widest, version)  # it was replaced after the first look

    def allowed(self, width: str | None) -> int | None:
        """Return the width as a number. Raises ValidationFailedError unless it is one of the settings'."""
        allowed = {str(one): one for one in self.settings.thumbnail_widths}
        if width is not None and width not in allowed:
            raise ValidationFailedError(
                [detail("query string", ["width"], f"Thumbnails are {', '.join(allowed)} pixels wide")]
            )
        return allowed[width] if width else None

    async def _answer(self, attachment: Attachment, widest: int | None, version: str | None) -> web.StreamResponse:
        if version not in {None, attachment.sha256}:
            raise ReplacedError
        content = await self._content(attachment, widest)
        headers = {
            "ETag": f'"{content.sha256}"',
            "Repr-Digest": digests.header(content.sha256),
            "Cache-Control": self._lifetime() if version else CHANGING,
        }
        if client_has(self.request, content.sha256):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = content.content_type
        if self.settings.accel_location and content.key:
            address = await self.store.address(content.key)
            location = self.settings.accel_location
            handed = hand_over(self.request, location, address, headers, content.sha256, content.size)
            if handed is not None:
                return handed
        headers["Accept-Ranges"] = "bytes"
        part = wanted_part(self.request, content.sha256, content.size)
        delivery = Delivery(self.request, headers, content.size, part)
        break_when_stalled(self.request, self.settings.send_timeout)
        if (at_hand := self._at_hand(content)) is not None:
            return await delivery.send_bytes(at_hand, self.room)
        read = range(0) if self.request.method == HTTPMethod.HEAD else part
        async with self.store.content(content.key, content.size, read) as opened:
            return await delivery.send_content(opened)

    def _lifetime(self) -> str:
        return UNCHANGING_PRIVATE if self.settings.access is Access.KEYS else UNCHANGING

    async def _content(self, attachment: Attachment, widest: int | None) -> Representation:
        if widest is None or self.suits(attachment, widest):
            return Representation(attachment.content_type, attachment.size, attachment.sha256, attachment.object_key)
        small = await self.request.app[app_keys.THUMBNAILS].get(attachment, widest)
        digest = hashlib.sha256(small).hexdigest()
        return Representation(thumbnails.CONTENT_TYPE, len(small), digest, small=small)

    def suits(self, attachment: Attachment, widest: int) -> bool:
        """Return whether it can be sent as it is where a picture of this width is wanted."""
        return attachment.width <= widest

    def _at_hand(self, content: Representation) -> bytes | None:
        """Return the bytes if they are in memory, or come there without waiting and do not crowd it."""
        if content.small is not None:
            return content.small
        if content.size > min(SMALL, self.room.free) or self.request.method == HTTPMethod.HEAD:
            return None
        found = self.store.at_hand(content.key, content.size)
        return found if found and len(found) == content.size else None

    @property
    def room(self) -> Room:
        return self.request.app[app_keys.ROOM]


class MediaView(Download):
    """The bytes of an attachment."""

    group = "Attachments"

    @call("download_attachment", Scope.READ, answers={200: PICTURE, 206: PICTURE})
    async def get(
        self, image_id: ImageId, filename: AttachmentName, /, width: Width = None, sha256: Version = None
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
        widest = self.allowed(width)
        return await self.deliver(lambda: self.shared.read_attachment(image_id, filename), widest, sha256)

    head = get
