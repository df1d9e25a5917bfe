"""/images/{image_id}/thumbnail: a smaller picture of an image, whichever of its files it is made of."""

from typing import Union

from aiohttp_pydantic.oas.typing import r200, r206, r304, r404, r412, r413, r416

from kt_images.fields import ImageId
from kt_images.models.attachments import Attachment
from kt_images.models.errors import Error
from kt_images.models.scopes import Scope
from kt_images.views.call import PICTURE, call
from kt_images.views.media import Download, Width

# In pixels, or the nearest that there is, where the client does not say.
USUAL = 320
# What every browser shows; of TIFF and HEIC, a small picture is made whatever its size.
SHOWN = {"image/avif", "image/bmp", "image/gif", "image/jpeg", "image/png", "image/webp"}
# In bytes. A narrow original may be very high, or have a thousand frames.
LARGEST = 2**17


class ThumbnailView(Download):
    """A smaller picture of an image."""

    group = "Images"

    @call("download_thumbnail", Scope.READ, answers={200: PICTURE, 206: PICTURE})
    async def get(
        self, image_id: ImageId, /, width: Width = None
    ) -> Union[r200, r206, r304, r404[Error], r412[Error], r413[Error], r416[Error]]:
        """Download a smaller picture of an image.

        It is made of the attachment that is named like the image, else of the first by name. A picture that is small
        already, and of a kind that browsers show, is sent as it is; any other is a WebP without metadata. Without
        `width` it is 320 pixels wide, or as near to that as the settings allow.

        Status Codes:
            200: The bytes.
            206: The bytes that the header Range asks for.
            304: The client has this picture already.
            404: There is no such image, or no file is stored for it.
            412: The picture is not the version that the header If-Match names.
            413: Making the picture takes more memory than the settings allow.
            416: The range starts beyond the end of the picture.
        """
        usual = min(self.settings.thumbnail_widths, key=lambda one: abs(one - USUAL), default=None)
        return await self.deliver(lambda: self.shared.read_picture(image_id), self.allowed(width) or usual)

    head = get

    def suits(self, attachment: Attachment, widest: int) -> bool:
        """Return whether it is small enough in every respect, and any browser shows it."""
        return attachment.width <= widest and attachment.size <= LARGEST and attachment.content_type in SHOWN
