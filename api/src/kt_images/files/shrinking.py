"""A picture made smaller: a WebP that stands upright and carries no metadata."""

import math
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

# Modes that Pillow scales without a copy of the whole picture.
SCALABLE = {"L", "RGB", "CMYK", "YCbCr"}
# Modes whose colour profile still holds after the conversion to WebP.
PROFILED = {"RGB", "RGBA", "P"}

# How much larger than asked for a picture may be when strips of it are reduced, or all of it is; the rest is scaled
# with a good filter.
STRIPS_GAP, REDUCING_GAP = 3.0, 1.5
# In pixels, of which all are held beside the picture: it may be as large as fits.
MAX_REDUCED = 8 * 2**20
# Converted at once: copies of a strip cost nothing, copies of a whole picture may not fit.
STRIP_PIXELS = 2**20

# Of WebP's seven: it takes half of the usual one's time, for 2 % more bytes.
METHOD = 2

# In bytes. Honest ones of cameras and screens are far smaller; one may be as large as a file, and would be in each
# thumbnail.
MAX_PROFILE = 256 * 1024

Size = tuple[int, int]


def shrink(file: BinaryIO, width: int, declare: Declare) -> bytes:
    """Return the picture upright, at most `width` pixels wide, as WebP without any metadata. Blocks.

    Raises UnsupportedMediaTypeError, TooLargeError, InvalidRequestError.
    """
    with opened(file, declare) as image:
        declare(image.width * image.height)
        image.load()
        return smaller(image, width)


def smaller(image: Image.Image, width: int) -> bytes:
    """Return what `shrink()` returns, of a picture that is loaded. The picture itself stays as it is."""
    profile = image.info.get("icc_profile") if image.mode in PROFILED else None
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    if orientation in ON_ITS_SIDE:
        limits = (min(image.width, MAX_HEIGHT), width)
    else:
        limits = (width, min(image.height, MAX_HEIGHT))
    small = image if image.mode in SCALABLE else _reduced(image, limits)
    # Small first, then upright: the other way round takes four times the time and the memory.
    small = small.resize(fitting(small.size, limits), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    if turn := TURNS.get(orientation or 0):
        small = small.transpose(turn)
    webp = BytesIO()
    mode = "RGBA" if small.mode == "RGBA" else "RGB"
    if profile and len(profile) > MAX_PROFILE:
        profile = None
    small.convert(mode).save(webp, "WEBP", method=METHOD, icc_profile=profile, exif=b"", xmp=b"")
    return webp.getvalue()


def fitting(size: Size, limits: Size) -> Size:
    """Return the largest size of the same shape within the limits, and not above the size itself."""
    factor = max(1.0, size[0] / limits[0], size[1] / limits[1])
    width, height = (max(1, round(side / factor)) for side in size)
    return width, height


def _reduced(image: Image.Image, limits: Size) -> Image.Image:
    """Return the picture in RGB or RGBA, and smaller by a whole factor where it is far above the limits."""
    levels = cast("tuple[float, float]", image.getextrema()) if image.mode in {"I", "F"} else (0.0, 0.0)
    above = max(image.width / limits[0], image.height / limits[1])
    most = math.sqrt(image.width * image.height / MAX_REDUCED)
    factor = max(1, int(max(above / STRIPS_GAP, min(above, math.ceil(most)))))
    rows = factor * max(1, STRIP_PIXELS // (image.width * factor))
    reduced: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = _plain(image.crop((0, top, image.width, min(top + rows, image.height))), levels).reduce(factor)
        if reduced is None:
            reduced = Image.new(strip.mode, (-(-image.width // factor), -(-image.height // factor)))
        reduced.paste(strip, (0, top // factor))
    return reduced or image


def _plain(image: Image.Image, levels: tuple[float, float]) -> Image.Image:
    """Return the picture in RGB, or in RGBA if it has transparency; `levels` are its darkest and brightest value."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"I", "F"}:
        low, high = levels
        scale = 255 / ((high - low) or 1)
        image = image.point(lambda value: value * scale - low * scale).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
