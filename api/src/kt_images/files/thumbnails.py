"""Smaller pictures, made when they are first asked for and kept beside their originals."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from io import BytesIO
from typing import BinaryIO, cast

from PIL import ExifTags, Image, ImageOps

from kt_images.errors import DamagedStoreError, DiskFullError, KtImagesError, UnavailableError
from kt_images.files.pictures import ON_ITS_SIDE, Pictures, opened
from kt_images.files.store import Store
from kt_images.models import Attachment
from kt_images.shielding import shielded

logger = logging.getLogger(__name__)

CONTENT_TYPE = "image/webp"
# What the format can hold.
MAX_HEIGHT = 16383

# Modes that Pillow makes smaller as they are; the others are converted before, as it drops pixels of a palette.
SCALABLE = {"L", "RGB", "RGBA", "CMYK", "YCbCr"}
# Modes that keep their colour profile as they become WebP.
PROFILED = {"RGB", "RGBA", "P"}


class Thumbnails:
    """The smaller pictures of a store, each made once however many ask for it at the same time."""

    def __init__(self, store: Store, pictures: Pictures) -> None:
        self._store, self._pictures = store, pictures
        self._making: dict[str, asyncio.Task[bytes]] = {}

    async def get(self, original: Attachment, width: int) -> bytes:
        """Return the original as a WebP at most `width` wide. Raises DamagedStoreError."""
        key = key_of(original.object_key, width)
        try:
            return await asyncio.to_thread(self._store.read, key)
        except DamagedStoreError:  # not there yet, most of the time
            if key not in self._making:
                self._making[key] = asyncio.create_task(self._make(original, width, key))
                self._making[key].add_done_callback(lambda _: self._making.pop(key))
            return await asyncio.shield(self._making[key])

    async def _make(self, original: Attachment, width: int, key: str) -> bytes:
        file = await asyncio.to_thread(self._store.open_object, original.object_key, original.size)
        with io.BufferedReader(file) as buffered:
            try:
                small = await shielded(self._pictures.run(shrink, buffered, width))
            except KtImagesError as error:
                raise DamagedStoreError from error
        try:
            async with self._store.receive(_at_once(small), len(small)) as received:
                await self._store.keep_as(received, key)
        except (DiskFullError, UnavailableError) as error:
            logger.warning("A smaller picture was not kept: %s", error)
        return small


def key_of(object_key: str, width: int) -> str:
    """Return the key of a smaller picture: whoever removes the original finds it by its own key."""
    return f"{object_key}.w{width}.webp"


def shrink(file: BinaryIO, width: int) -> bytes:
    """Return the picture upright, at most `width` wide, as WebP, without what else its file said of it. Blocks.

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
        small.getexif()[ExifTags.Base.Orientation] = orientation or 1
        ImageOps.exif_transpose(small, in_place=True)
        made = BytesIO()
        _plain(small).save(made, "WEBP", icc_profile=profile, exif=b"", xmp=b"")
        return made.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture in RGB, with transparency where it has some."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"I", "F"}:
        low, high = cast("tuple[float, float]", image.getextrema())  # of the one band that these modes have
        scale = 255 / ((high - low) or 1)
        image = image.point(lambda value: value * scale - low * scale).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    yield content
