"""Thumbnails: made on first request and kept beside their originals."""

import asyncio
import logging
from collections.abc import AsyncIterator
from io import BytesIO
from typing import BinaryIO, cast

from PIL import ExifTags, Image

from kt_images.errors import DamagedStoreError, DiskFullError, KtImagesError, UnavailableError
from kt_images.files.keys import thumbnail_key
from kt_images.files.pictures import ON_ITS_SIDE, Pictures, opened
from kt_images.files.store import Store, read_all
from kt_images.models import Attachment
from kt_images.shielding import shielded

logger = logging.getLogger(__name__)

CONTENT_TYPE = "image/webp"
# Of the WebP format, in pixels.
MAX_HEIGHT = 16383

# What turns a picture upright, by its EXIF orientation (EXIF 2.32, tag 274).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Modes that Pillow shrinks as they are; the others are converted first, as it drops pixels of a palette.
SCALABLE = {"L", "RGB", "RGBA", "CMYK", "YCbCr"}
# Modes whose colour profile still holds after the conversion to WebP.
PROFILED = {"RGB", "RGBA", "P"}


class Thumbnails:
    """The thumbnails of a store, each made once however many ask for it at the same time."""

    def __init__(self, store: Store, pictures: Pictures) -> None:
        self._store, self._pictures = store, pictures
        self._making: dict[str, asyncio.Task[bytes]] = {}

    async def get(self, original: Attachment, width: int) -> bytes:
        """Return the original as a WebP at most `width` wide. Raises DamagedStoreError and UnavailableError."""
        key = thumbnail_key(original.object_key, width)
        try:
            async with self._store.content(key) as content:
                return await read_all(content)
        except DamagedStoreError:  # not made yet, most of the time
            if key not in self._making:
                self._making[key] = asyncio.create_task(self._make(original, width, key))
                self._making[key].add_done_callback(lambda _: self._making.pop(key))
            return await asyncio.shield(self._making[key])

    async def _make(self, original: Attachment, width: int, key: str) -> bytes:
        async with self._store.local_file(original.object_key, original.size) as file:
            try:
                thumbnail = await shielded(self._pictures.run(shrink, file, width))
            except KtImagesError as error:
                raise DamagedStoreError from error
        try:
            await self._keep(thumbnail, key, original)
        except (DiskFullError, UnavailableError) as error:
            logger.warning("A thumbnail could not be kept: %s", error)
        return thumbnail

    async def _keep(self, thumbnail: bytes, key: str, original: Attachment) -> None:
        async with self._store.receive(_at_once(thumbnail), len(thumbnail)) as received:
            await self._store.keep(received, key, CONTENT_TYPE)
        try:
            async with self._store.content(original.object_key):
                pass
        except DamagedStoreError:
            await self._store.remove([key])  # the collector was here, and comes for this object no more


def shrink(file: BinaryIO, width: int) -> bytes:
    """Return the picture upright, at most `width` pixels wide, as WebP without any metadata. Blocks.

    Raises UnsupportedMediaTypeError, TooLargeError, InvalidRequestError.
    """
    with opened(file) as image:
        profile = image.info.get("icc_profile") if image.mode in PROFILED else None
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        small = image if image.mode in SCALABLE else _plain(image)
        if orientation in ON_ITS_SIDE:
            limits = (min(small.width, MAX_HEIGHT), width)
        else:
            limits = (width, min(small.height, MAX_HEIGHT))
        # Small first, then upright: the other way round takes four times the time and the memory.
        small.thumbnail(limits)
        if turn := TURNS.get(orientation or 0):
            small = small.transpose(turn)
        webp = BytesIO()
        _plain(small).save(webp, "WEBP", icc_profile=profile, exif=b"", xmp=b"")
        return webp.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture in RGB, or in RGBA if it has transparency."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"I", "F"}:
        low, high = cast("tuple[float, float]", image.getextrema())  # these modes have one band
        scale = 255 / ((high - low) or 1)
        image = image.point(lambda value: value * scale - low * scale).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    yield content
