"""What an uploaded file holds: a picture that decodes completely, its type and its size."""

import contextlib
import errno
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import pillow_heif
from PIL import AvifImagePlugin, ExifTags, Image, UnidentifiedImageError

from kt_images.errors import (
    InvalidRequestError,
    KtImagesError,
    TooLargeError,
    UnsupportedMediaTypeError,
    translated_errors,
)
from kt_images.files import webp
from kt_images.files.precautions import DAMAGED, MAX_SCANS, TOO_LARGE, check_demands, check_end, count_scans

# Each media type that is stored, and its extension in the store.
EXTENSIONS = {
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/tiff": "tif",
    "image/webp": "webp",
}
# The names by which Pillow is asked for these formats.
READERS = ["AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"]

# However small they are, each costs time.
MAX_FRAMES = 500

# How Pillow reports texts in a PNG that inflate beyond its limits; it has no class for that.
TEXTS_TOO_LARGE = re.compile("MAX_TEXT_CHUNK|memory used in text chunks")

TOO_DEMANDING = "The image takes too much memory or time to decode"
# Libraries have the same error for both.
DAMAGED_OR_TOO_DEMANDING = "The image is truncated or damaged, or takes too much memory to decode"
UNSUPPORTED = "The file is not an image that can be stored; send JPEG, PNG, GIF, WebP, AVIF, HEIC, HEIF, TIFF or BMP"

# The values of EXIF's orientation that exchange width and height.
ON_ITS_SIDE = {5, 6, 7, 8}

# Is told of pixels before they are decoded; may raise MemoryError.
Declare = Callable[[int], None]
# Is shown the frame that stands for the picture once it is decoded, and its width in pixels when it is upright.
Show = Callable[[Image.Image, int], None]


@dataclass(frozen=True)
class Picture:
    """A picture's media type, the extension that goes with it, and its size in pixels when it is shown upright.

    `thumbnails` are those that were made of it on this occasion, by their widths.
    """

    content_type: str
    extension: str
    width: int
    height: int
    thumbnails: dict[int, bytes] = field(default_factory=dict)


def prepare(max_pixels: int) -> None:
    """Set up the libraries, whose settings are those of the whole process."""
    # Pillow refuses twice as many pixels; `inspect()` is exact.
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.filterwarnings("ignore", module="PIL")
    # A thumbnail inside the file need not show the same picture, and nothing here uses the other extras. One thread for
    # each picture: there are as many pictures at once as processors.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.init()


def inspect(file: BinaryIO, max_pixels: int, declare: Declare, show: Show = lambda _image, _width: None) -> Picture:
    """Decode every frame of the file's picture; return its type and size. Blocks.

    `declare` is told the pixels of each frame before they are decoded. What `show` raises is as if decoding had raised
    it.

    Raises UnsupportedMediaTypeError for anything but a picture of a known format, TooLargeError for more than
    `max_pixels` (of all frames together) or MAX_FRAMES, InvalidRequestError for an empty, truncated or damaged file.
    """
    if not file.seek(0, os.SEEK_END):
        raise InvalidRequestError("The file is empty")
    with translated_errors(translate):
        check_demands(file, max_pixels, MAX_FRAMES)
    with opened(file, declare) as image:
        content_type = _content_type(image)
        scans = count_scans(file) if content_type == "image/jpeg" else 1
        width, height = _decode(image, max_pixels, max_pixels * MAX_SCANS // max(scans, 1), declare, show)
    check_end(file, content_type)
    return Picture(content_type, EXTENSIONS[content_type], width, height)


@contextlib.contextmanager
def opened(file: BinaryIO, declare: Declare) -> Iterator[Image.Image]:
    """Open a picture; this reads only its header. Blocks. `declare` is told the pixels of a format that needs them now.

    Any exception of Pillow, here or while the picture is in use, becomes UnsupportedMediaTypeError, TooLargeError or
    InvalidRequestError, except MemoryError.
    """
    file.seek(0)
    declare(webp.pixels(file))
    file.seek(0)
    with translated_errors(translate), Image.open(file, formats=READERS) as image:
        yield image


def translate(error: Exception) -> KtImagesError | None:
    """Return what an exception of the libraries means; None if it is the disk's, or memory's.

    EINVAL is the picture's: a place in the file that no file can have.
    """
    if isinstance(error, UnidentifiedImageError):
        return UnsupportedMediaTypeError(UNSUPPORTED)
    if isinstance(error, Image.DecompressionBombError):
        return TooLargeError(TOO_LARGE)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}):
        return None
    if isinstance(error, ValueError) and TEXTS_TOO_LARGE.search(str(error)):
        return TooLargeError("The image contains too much text")
    return InvalidRequestError(DAMAGED)


def _content_type(image: Image.Image) -> str:
    if image.format == "MPO":  # a JPEG with further pictures behind it, as many telephones make them
        return "image/jpeg"
    if isinstance(image, pillow_heif.HeifImageFile):  # by the file's brand; few programs know the types of sequences
        return (image.get_format_mimetype() or "").removesuffix("-sequence")
    return f"image/{image.format}".lower()


def _decode(image: Image.Image, max_pixels: int, max_frame: int, declare: Declare, show: Show) -> tuple[int, int]:
    """Decode all frames, each of at most `max_frame` pixels; return the size of the one that is shown, upright."""
    shown, pixels, frames, size = image.tell(), 0, 0, (0, 0)
    while _has_frame(image, frames):
        frame = image.width * image.height
        pixels += frame
        if pixels > max_pixels or frame > max_frame or frames >= MAX_FRAMES:
            raise TooLargeError(TOO_LARGE)
        declare(frame)
        image.load()
        if image.width * image.height > frame:  # a HEIF may be larger than it declared
            raise InvalidRequestError(DAMAGED)
        if frames == shown:  # only now: some formats are decoded to find their EXIF data
            size = _upright_size(image)
            show(image, size[0])
        frames += 1
    return size


def _has_frame(image: Image.Image, number: int) -> bool:
    try:
        image.seek(number)
    except EOFError:
        return False
    return True


def _upright_size(image: Image.Image) -> tuple[int, int]:
    if image.getexif().get(ExifTags.Base.Orientation) in ON_ITS_SIDE:
        return image.height, image.width
    return image.size
