"""Pictures out of a fixed seed: real ones, that decode, of the sizes that are measured."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

SEED = 19
BYTES_A_PIXEL = 3
PAGE = (1000, 1000)
PHOTOGRAPH = (4000, 3000)
COARSE = (80, 60)  # what a photograph is blown up from: smooth as a sky, and noisy as its sensor
NOISE = 12
SMALL = (64, 64)


def bitmap(path: Path, size: int) -> Path:
    """Make a picture of about so many bytes, with nothing compressed."""
    width = round(math.sqrt(size / BYTES_A_PIXEL) / 4) * 4
    _noise((width, size // (width * BYTES_A_PIXEL)), size).save(path, "BMP")
    return path


def pages(path: Path, size: int) -> Path:
    """Make a picture of about so many bytes out of many pages, each of them small."""
    made = [_noise(PAGE, page) for page in range(size // (math.prod(PAGE) * BYTES_A_PIXEL))]
    made[0].save(path, "TIFF", save_all=True, append_images=made[1:])
    return path


def photographs(folder: Path, number: int) -> list[Path]:
    """Make so many JPEGs as a camera does, each another one."""
    paths = [folder / f"IMG_{one:04}.jpg" for one in range(number)]
    noise = np.asarray(_noise(PHOTOGRAPH, number)).astype(np.int16) % NOISE
    for one, path in enumerate(paths):
        smooth = np.asarray(_noise(COARSE, one).resize(PHOTOGRAPH, Image.Resampling.BICUBIC))
        grain = np.roll(noise, one)
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(path, "JPEG", quality=90)
    return paths


def small(folder: Path, number: int) -> list[Path]:
    """Make so many JPEGs of a few kilobytes, each another one."""
    paths = [folder / f"small_{one:04}.jpg" for one in range(number)]
    for one, path in enumerate(paths):
        _noise(SMALL, one).save(path, "JPEG")
    return paths


def _noise(size: tuple[int, int], seed: int) -> Image.Image:
    random = np.random.default_rng([SEED, seed])
    return Image.frombytes("RGB", size, random.bytes(math.prod(size) * BYTES_A_PIXEL))
