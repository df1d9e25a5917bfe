"""Real pictures to upload: one from a camera, others drawn on the spot.

`grace_hopper.jpg` is a portrait by the U.S. Navy, public domain.
"""

from io import BytesIO
from pathlib import Path

from PIL import Image

JPEG = Path(__file__).parent / "grace_hopper.jpg"


def drawn(form: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options) -> bytes:
    """Return a picture in one of Pillow's formats."""
    file = BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(file, form, **options)
    return file.getvalue()
