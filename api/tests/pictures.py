"""Real pictures to upload: one from a camera, others drawn on the spot.

`grace_hopper.jpg` is a portrait by the U.S. Navy, public domain.
"""

from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image

JPEG = Path(__file__).parent / "grace_hopper.jpg"

# What a camera that was held upright writes: to be turned by 90 degrees when it is shown.
ROTATED = Image.Exif()
ROTATED[ExifTags.Base.Orientation] = 6


def drawn(form: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options) -> bytes:
    """Return a picture in one of Pillow's formats."""
    file = BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(file, form, **options)
    return file.getvalue()
