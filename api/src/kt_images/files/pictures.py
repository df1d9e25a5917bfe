"""What an uploaded file holds: a picture that decodes completely, its type and its size."""

import asyncio
import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ParamSpec, Self, TypeVar

import pillow_heif
from PIL import ExifTags, Image, UnidentifiedImageError

from kt_images.errors import (
    InvalidRequestError,
    KtImagesError,
    TooLargeError,
    UnsupportedMediaTypeError,
    translated_errors,
)
from kt_images.files import heif, tiff

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

# A progressive JPEG may go over its pixels again and again: a file of 300 KB that takes minutes. Honest files have
# about ten scans.
MAX_SCANS = 20
SCAN = b"\xff\xda"

# The strips or tiles of all pages of a TIFF, and the bytes of its tags or of a HEIF's metadata.
MAX_PIECES = 100_000
MAX_METADATA = 64 * 2**20

# A HEIF decodes its tiles and then paints them, perhaps once more for transparency.
MAX_HEIF_WORK = 5

# How Pillow reports texts in a PNG that inflate beyond its limits; it has no class for that.
TEXTS_TOO_LARGE = re.compile("MAX_TEXT_CHUNK|memory used in text chunks")

TOO_LARGE = "The image has too many pixels or frames"
DAMAGED = "The image is truncated or damaged"
UNSUPPORTED = "The file is not an image that can be stored; send JPEG, PNG, GIF, WebP, AVIF, HEIC, HEIF, TIFF or BMP"

# The last bytes of the formats that Pillow accepts when only those are missing.
ENDS = {"image/gif": re.compile(rb";\0*\Z"), "image/png": re.compile(rb"IEND\xae\x42\x60\x82")}
# Some programs append data of their own: the end is searched for in this many bytes.
MAX_END = 64 * 1024

# The values of EXIF's orientation that exchange width and height.
ON_ITS_SIDE = {5, 6, 7, 8}

READ_SIZE = 2**20

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """A picture's media type, the extension that goes with it, and its size in pixels when it is shown upright."""

    content_type: str
    extension: str
    width: int
    height: int


class Pictures:
    """The threads that decode pictures: one per processor, and used for nothing else."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        # Pillow's settings are those of the whole process. It refuses twice as many pixels; `inspect()` is exact.
        Image.MAX_IMAGE_PIXELS = max_pixels
        warnings.filterwarnings("ignore", module="PIL")
        # A thumbnail inside the file need not show the same picture, and nothing here uses the other extras. One
        # thread for each picture: there are as many pictures at once as processors.
        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="pictures")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def inspect(self, path: Path) -> Picture:
        """Return what the file holds. Raises the same errors as the function `inspect()`."""
        return await self.run(inspect, path, self._max_pixels)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))


def inspect(path: Path, max_pixels: int) -> Picture:
    """Decode every frame of the file's picture; return its type and size. Blocks.

    Raises UnsupportedMediaTypeError for anything but a picture of a known format, TooLargeError for more than
    `max_pixels` (of all frames together) or MAX_FRAMES, InvalidRequestError for an empty, truncated or damaged file.
    """
    if not path.stat().st_size:
        raise InvalidRequestError("The file is empty")
    with translated_errors(translate):
        _check_demands(path, max_pixels)
    with opened(path) as image:
        content_type = _content_type(image)
        if content_type == "image/jpeg" and _scans(path) * image.width * image.height > MAX_SCANS * max_pixels:
            raise TooLargeError(TOO_LARGE)
        width, height = _decode(image, max_pixels)
    _check_end(path, content_type)
    return Picture(content_type, EXTENSIONS[content_type], width, height)


@contextlib.contextmanager
def opened(source: Path | BinaryIO) -> Iterator[Image.Image]:
    """Open a picture; this reads only its header. Blocks.

    Any exception of Pillow, here or while the picture is in use, becomes UnsupportedMediaTypeError, TooLargeError or
    InvalidRequestError.
    """
    with translated_errors(translate), Image.open(source, formats=READERS) as image:
        yield image


def translate(error: Exception) -> KtImagesError | None:
    """Return what an exception of the libraries means; None if it is the disk's."""
    if isinstance(error, UnidentifiedImageError):
        return UnsupportedMediaTypeError(UNSUPPORTED)
    if isinstance(error, Image.DecompressionBombError):
        return TooLargeError(TOO_LARGE)
    if isinstance(error, OSError) and error.errno:
        return None
    if isinstance(error, ValueError) and TEXTS_TOO_LARGE.search(str(error)):
        return TooLargeError("The image contains too much text")
    return InvalidRequestError(DAMAGED)


def _check_demands(path: Path, max_pixels: int) -> None:
    """Raise TooLargeError for a file whose opening alone, or whose references, cost more than its pixels suggest."""
    with path.open("rb") as file:
        for pieces, size in tiff.demand(file, MAX_FRAMES):
            if pieces > MAX_PIECES or size > MAX_METADATA:
                raise TooLargeError(TOO_LARGE)
        file.seek(0)
        demand = heif.demand(file)
        if demand.pixels > MAX_HEIF_WORK * max_pixels or demand.metadata > MAX_METADATA:
            raise TooLargeError(TOO_LARGE)


def _content_type(image: Image.Image) -> str:
    if image.format == "MPO":  # a JPEG with further pictures behind it, as many telephones make them
        return "image/jpeg"
    if isinstance(image, pillow_heif.HeifImageFile):  # by the file's brand; few programs know the types of sequences
        return (image.get_format_mimetype() or "").removesuffix("-sequence")
    return f"image/{image.format}".lower()


def _decode(image: Image.Image, max_pixels: int) -> tuple[int, int]:
    """Decode all frames; return the size of the one that is shown, upright."""
    shown, pixels, frames, size = image.tell(), 0, 0, (0, 0)
    while _has_frame(image, frames):
        pixels += image.width * image.height
        if pixels > max_pixels or frames >= MAX_FRAMES:
            raise TooLargeError(TOO_LARGE)
        image.load()
        if frames == shown:  # only now: some formats are decoded to find their EXIF data
            size = _upright_size(image)
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


def _scans(path: Path) -> int:
    """Return how many scans a JPEG has."""
    scans, last = 0, b""
    with path.open("rb") as file:
        while content := file.read(READ_SIZE):
            scans += (last + content).count(SCAN)
            last = content[-1:]
    return scans


def _check_end(path: Path, content_type: str) -> None:
    """Raise InvalidRequestError for a file that decodes although its end is missing."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MAX_END))
        if content_type in ENDS and not ENDS[content_type].search(file.read()):
            raise InvalidRequestError(DAMAGED)
