"""What is in a file: a picture that decodes whole, of which type and size."""

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

from PIL import ExifTags, Image, UnidentifiedImageError

from kt_images.errors import InvalidRequestError, KtImagesError, TooLargeError, UnsupportedMediaTypeError

# Pillow's name of each format that is stored: its media type, and its extension in the store.
FORMATS = {
    "AVIF": ("image/avif", "avif"),
    "BMP": ("image/bmp", "bmp"),
    "GIF": ("image/gif", "gif"),
    "JPEG": ("image/jpeg", "jpg"),
    "MPO": ("image/jpeg", "jpg"),  # a JPEG with further pictures behind it, as many telephones make them
    "PNG": ("image/png", "png"),
    "TIFF": ("image/tiff", "tif"),
    "WEBP": ("image/webp", "webp"),
}
# MPO is found by the reader of JPEG.
READERS = [name for name in FORMATS if name != "MPO"]

# However small they are, each costs time.
MAX_FRAMES = 500

TOO_LARGE = "The image has too many pixels or frames"

# How the formats end of which Pillow takes a file that is cut off within its last bytes.
ENDS = {"image/gif": re.compile(rb";\0*\Z"), "image/png": re.compile(rb"IEND\xae\x42\x60\x82")}
# Bytes in which the end is looked for: some programs write something behind it.
MAX_END = 64 * 1024

# The values of EXIF's orientation that exchange width and height.
ON_ITS_SIDE = {5, 6, 7, 8}

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
    """The threads that decode pictures: as many at once as there are processors, and none that others wait for."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        # For the whole process: Pillow knows no other way. It refuses twice as many; the exact limit is ours, below.
        Image.MAX_IMAGE_PIXELS = max_pixels
        warnings.filterwarnings("ignore", module="PIL")
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="pictures")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def inspect(self, path: Path) -> Picture:
        """Tell what the file is. Raises as the function `inspect()`."""
        return await self.run(inspect, path, self._max_pixels)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))


def inspect(path: Path, max_pixels: int) -> Picture:
    """Decode every frame of the file's picture and tell what it is. Blocks.

    Raises UnsupportedMediaTypeError for what is no picture of a known format, TooLargeError for more than `max_pixels`
    (all frames together) or MAX_FRAMES, InvalidRequestError for one that is empty, cut off or damaged.
    """
    if not path.stat().st_size:
        raise InvalidRequestError("The file is empty")
    with opened(path) as image:
        content_type, extension = FORMATS[image.format or ""]
        pixels = frames = width = height = 0
        while _has_frame(image, frames):
            frames += 1
            pixels += image.width * image.height
            if pixels > max_pixels or frames > MAX_FRAMES:
                raise TooLargeError(TOO_LARGE)
            image.load()
            if frames == 1:  # only now: some formats are decoded to find their EXIF data
                width, height = image.size
                if image.getexif().get(ExifTags.Base.Orientation) in ON_ITS_SIDE:
                    width, height = height, width
    _look_at_the_end(path, content_type)
    return Picture(content_type, extension, width, height)


@contextlib.contextmanager
def opened(source: Path | BinaryIO) -> Iterator[Image.Image]:
    """Open a picture, of which only the header is read by that. Blocks.

    Whatever Pillow raises on a stranger's bytes, here or while the picture is worked on, becomes one of
    UnsupportedMediaTypeError, TooLargeError and InvalidRequestError.
    """
    try:
        with Image.open(source, formats=READERS) as image:
            yield image
    except KtImagesError:
        raise
    except UnidentifiedImageError:
        raise UnsupportedMediaTypeError("The file is not an image of a supported type") from None
    except Image.DecompressionBombError:
        raise TooLargeError(TOO_LARGE) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault, not the picture's
        raise InvalidRequestError("The image is cut off or damaged") from error


def _has_frame(image: Image.Image, number: int) -> bool:
    try:
        image.seek(number)
    except EOFError:
        return False
    return True


def _look_at_the_end(path: Path, content_type: str) -> None:
    """Raise InvalidRequestError for a file that decodes although its end is missing."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MAX_END))
        if content_type in ENDS and not ENDS[content_type].search(file.read()):
            raise InvalidRequestError("The image is cut off or damaged")
