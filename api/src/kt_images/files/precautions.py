"""Limits that a file must keep before it is decoded, and a look at its end afterwards."""

import os
import re
from typing import BinaryIO

from kt_images.errors import InvalidRequestError, TooLargeError
from kt_images.files import heif, tiff

# A progressive JPEG may go over its pixels again and again: a file of 300 KB that takes minutes. Honest files have
# about ten scans; a smaller picture may have more.
MAX_SCANS = 20
SCAN = b"\xff\xda"

# The strips or tiles of all pages of a TIFF, and the bytes of its tags or of a HEIF's metadata.
MAX_PIECES = 100_000
MAX_METADATA = 64 * 2**20

# A HEIF decodes its tiles and then paints them, perhaps once more for transparency.
MAX_HEIF_WORK = 5

# The last bytes of the formats that Pillow accepts when only those are missing.
ENDS = {"image/gif": re.compile(rb";\0*\Z"), "image/png": re.compile(rb"IEND\xae\x42\x60\x82")}
# Some programs append data of their own: the end is searched for in this many bytes.
MAX_END = 64 * 1024

READ_SIZE = 2**20

TOO_LARGE = "The image has too many pixels or frames"
DAMAGED = "The image is truncated or damaged"


def check_demands(file: BinaryIO, max_pixels: int, max_pages: int) -> None:
    """Raise TooLargeError for a TIFF or HEIF whose opening alone, or whose references, cost too much."""
    file.seek(0)
    for pieces, size in tiff.demand(file, max_pages):
        if pieces > MAX_PIECES or size > MAX_METADATA:
            raise TooLargeError(TOO_LARGE)
    file.seek(0)
    demand = heif.demand(file)
    if demand.pixels > MAX_HEIF_WORK * max_pixels or demand.metadata > MAX_METADATA:
        raise TooLargeError(TOO_LARGE)


def count_scans(file: BinaryIO) -> int:
    """Return how many scans a JPEG and the pictures behind it have."""
    scans, last = 0, b""
    file.seek(0)
    while content := file.read(READ_SIZE):
        scans += (last + content).count(SCAN)
        last = content[-1:]
    return scans


def check_end(file: BinaryIO, content_type: str) -> None:
    """Raise InvalidRequestError for a file that decodes although its end is missing."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_END))
    if content_type in ENDS and not ENDS[content_type].search(file.read()):
        raise InvalidRequestError(DAMAGED)
