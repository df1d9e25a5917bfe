"""Landscapes out of a fixed seed: pictures of several shapes that a person can tell from each other, with tags."""

import io
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

SEED = 7
SHAPES = ((960, 640), (640, 960), (1200, 500), (800, 800), (1000, 750))
PLACES = (
    "harbour", "meadow", "dune", "glacier", "orchard", "lagoon", "ridge", "canyon", "lighthouse", "village", "bridge",
    "river", "forest", "coast",
)  # fmt: skip
TAGS = (*PLACES, "autumn", "winter", "spring", "summer", "evening", "morning", "favourite", "print", "2024", "2025")
MOST_TAGS = 5
SUN = (255, 240, 210)
STEP = 8  # pixels between two points of a ridge

Colour = tuple[int, ...]


@dataclass(frozen=True)
class Landscape:
    """A picture as it is uploaded: its name, its tags, and the bytes of a JPEG."""

    filename: str
    tags: list[str]
    content: bytes


def landscapes(number: int) -> Iterator[Landscape]:
    """Make so many, each another one, and the same ones every time."""
    for one in range(number):
        draw = random.Random(SEED * 1000 + one)  # noqa: S311 (no secret)
        place = draw.choice(PLACES)
        others = draw.sample([tag for tag in TAGS if tag != place], draw.randint(0, MOST_TAGS - 1))
        buffer = io.BytesIO()
        _painted(draw).save(buffer, "JPEG", quality=84)
        yield Landscape(f"{place}-{one:04}.jpg", [place, *others], buffer.getvalue())


def _painted(draw: random.Random) -> Image.Image:
    """A sky from one colour to another, now and then a sun in it, and ridges that become darker towards the eye."""
    size = width, height = draw.choice(SHAPES)
    hue = draw.random()
    above = _colour(hue, draw.randint(60, 150), draw.randint(150, 255))
    below = _colour(hue + draw.uniform(0.05, 0.25), draw.randint(60, 160), draw.randint(80, 220))
    shade = Image.linear_gradient("L").resize(size)
    image = Image.composite(Image.new("RGB", size, below), Image.new("RGB", size, above), shade)
    if draw.random() < 0.7:  # noqa: PLR2004 (a share)
        x, y, radius = draw.randint(0, width), draw.randint(0, height // 2), draw.randint(30, 90)
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=SUN)
    image = image.filter(ImageFilter.GaussianBlur(3))
    for ridge in range(draw.randint(2, 5)):
        colour = tuple(int(part * (0.75 - 0.13 * ridge)) for part in below)
        line = _ridge(draw, width, height * (0.45 + 0.13 * ridge), height * 0.12 / (ridge + 1))
        ImageDraw.Draw(image).polygon([(0, height), *line, (width, height)], fill=colour)
    return image


def _ridge(draw: random.Random, width: int, base: float, rise: float) -> list[tuple[float, float]]:
    phase, waves = draw.random() * 9, draw.uniform(1, 3) * math.tau / width
    slow, fast = (lambda x: math.sin(x * waves + phase)), (lambda x: math.sin(x * waves * 2.7 + phase * 2))
    return [(x, base + rise * (slow(x) + 0.4 * fast(x))) for x in range(0, width + STEP, STEP)]


def _colour(hue: float, saturation: int, value: int) -> Colour:
    pixel = Image.new("HSV", (1, 1), (int(hue % 1 * 255), saturation, value)).convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel
