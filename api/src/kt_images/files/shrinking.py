"""A picture made smaller: a WebP that stands upright and carries no metadata."""

from io import BytesIO
from typing import BinaryIO, cast

from PIL import ExifTags, Image

from kt_images.files.pictures import ON_ITS_SIDE, Declare, opened

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


def shrink(file: BinaryIO, width: int, declare: Declare) -> bytes:
    """Return the picture upright, at most `width` pixels wide, as WebP without any metadata. Blocks.

    Raises UnsupportedMediaTypeError, TooLargeError, InvalidRequestError.
    """
    with opened(file) as image:
        declare(image.width * image.height)
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
