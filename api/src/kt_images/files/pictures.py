"""What is in a file: a picture that decodes whole, of which type and size."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from kt_images.errors import InvalidRequestError, TooLargeError, UnsupportedMediaTypeError

# Pillow's name of each format that is stored: its media type, and its extension in the store.
FORMATS = {
    "AVIF": ("image/avif", "avif"),
    "BMP": ("image/bmp", "bmp"),
    "GIF": ("image/gif", "gif"),
    "JPEG": ("image/jpeg", "jpg"),
    "PNG": ("image/png", "png"),
    "TIFF": ("image/tiff", "tif"),
    "WEBP": ("image/webp", "webp"),
}

# The values of EXIF's orientation that exchange width and height.
ON_ITS_SIDE = {5, 6, 7, 8}


@dataclass(frozen=True)
class Picture:
    """A picture's media type, the extension that goes with it, and its size in pixels when it is shown upright."""

    content_type: str
    extension: str
    width: int
    height: int


def inspect(path: Path, max_pixels: int) -> Picture:
    """Decode every frame of the file's picture and tell what it is. Blocks: run it in a thread.

    Raises UnsupportedMediaTypeError for what is no picture of a known format, TooLargeError for more than `max_pixels`
    (all frames together), InvalidRequestError for one that is cut off or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the limit is ours, read from the header below
        try:
            image = Image.open(path, formats=list(FORMATS))
        except UnidentifiedImageError:
            raise UnsupportedMediaTypeError("The file is not an image of a supported type") from None
        except Image.DecompressionBombError:
            raise TooLargeError("The image has too many pixels") from None
        with image:
            width, height = image.size
            frames = 0
            try:
                while True:
                    frames += 1
                    if width * height * frames > max_pixels:
                        raise TooLargeError("The image has too many pixels")
                    image.load()
                    image.seek(frames)
            except EOFError:
                pass
            except (OSError, SyntaxError, ValueError, IndexError, TypeError) as error:
                raise InvalidRequestError("The image is cut off or damaged") from error
            content_type, extension = FORMATS[image.format or ""]
            if image.getexif().get(ExifTags.Base.Orientation) in ON_ITS_SIDE:
                width, height = height, width
            return Picture(content_type, extension, width, height)
