"""What a HEIF file asks of its reader, worked out before libheif reads it.

libheif follows the references of a file wherever they lead: a grid may name one large tile 65,536 times, a grid or an
overlay may have a canvas that its `ispe` box denies, and a block of metadata is copied for each image that it
describes. A few kilobytes can ask for hours and gigabytes. Boxes: ISO/IEC 14496-12, 8.11; grid and iovl: ISO/IEC
23008-12, 6.6.2.
"""

import os
import struct
from collections import Counter, defaultdict
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from kt_images.errors import TooLargeError
from kt_images.files.boxes import TOO_MANY, Box, Numbers, only, read_meta, split

BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

# Honest files: a grid of tiles, perhaps under an identity or an overlay.
MAX_DEPTH = 4

# However few pixels a tile has, its decoder takes time to start.
LEAST_PIXELS = 64 * 64

WIDE_INFE = 3  # the version of an `infe` box with ids of 4 bytes
# libheif's own limits. Items and extents may be described in hardly any bytes.
MAX_ITEMS, MAX_EXTENTS = 1000, 32

DERIVED = {b"grid", b"iovl"}
IN_FILE, IN_IDAT = 0, 1

_Place = tuple[int, list[tuple[int, int]]]


@dataclass(frozen=True)
class Demand:
    """How many pixels are decoded or painted for all images of a file, and how many bytes of metadata are copied."""

    pixels: int
    metadata: int


def demand(file: BinaryIO) -> Demand:
    """Return what it takes to read the file; nothing for a file of another format.

    Raises ValueError, LookupError or struct.error for a file that is truncated or inconsistent, TooLargeError for one
    with more boxes or deeper references than any camera writes.
    """
    head = file.read(12)
    if head[4:8] != b"ftyp" or head[8:12] not in BRANDS:
        return Demand(0, 0)
    return _Items(file, read_meta(file)).demand()


class _Items:
    """The items of a file: what each is, how large it is, where its bytes are and what it is made of."""

    def __init__(self, file: BinaryIO, meta: list[Box]) -> None:
        self._file, self._idat = file, BytesIO(only(meta, b"idat"))
        self._kinds = _kinds(only(meta, b"iinf"))
        self._places = _places(only(meta, b"iloc"), file.seek(0, os.SEEK_END))
        properties = list(split(only(meta, b"iprp")))
        self._sizes = _sizes(only(properties, b"ipco"), [body for kind, body in properties if kind == b"ipma"])
        references = only(meta, b"iref")
        self._parts = _references(references, b"dimg")
        self._described = _references(references, b"cdsc")
        self._pixels: dict[int, int] = {}

    def demand(self) -> Demand:
        """Return what all images together ask for."""
        inner = {part for parts in self._parts.values() for part in parts}
        pixels = sum(self._cost(item, MAX_DEPTH) for item in self._kinds if item not in inner)
        if self._kinds.keys() - self._pixels.keys():
            raise ValueError("Images are parts of each other")
        lengths = {item: sum(length for _, length in extents) for item, (_, extents) in self._places.items()}
        metadata = sum(lengths.get(item, 0) * len(images) for item, images in self._described.items())
        return Demand(pixels, metadata)

    def _cost(self, item: int, depth: int) -> int:
        """Return the pixels that are decoded and painted to get at an image, those of its parts included."""
        if depth == 0:
            raise TooLargeError("The image file has deeper references than any camera writes")
        if item not in self._pixels:
            own = self._sizes.get(item, 0)
            if self._kinds.get(item) in DERIVED:
                own = max(own, self._canvas(item))
            parts = Counter(self._parts.get(item, []))
            costs = {part: max(LEAST_PIXELS, self._cost(part, depth - 1)) for part in parts}
            self._pixels[item] = own + sum(times * costs[part] for part, times in parts.items())
        return self._pixels[item]

    def _canvas(self, item: int) -> int:
        """Return the pixels of the canvas of a grid or an overlay, as its own bytes have it."""
        content = self._read(item, 32)
        start = 4 if self._kinds[item] == b"grid" else 10
        width, height = struct.unpack_from(">II" if content[1] & 1 else ">HH", content, start)
        return int(width * height)

    def _read(self, item: int, most: int) -> bytes:
        method, extents = self._places[item]
        source = {IN_FILE: self._file, IN_IDAT: self._idat}[method]
        content = b""
        for offset, length in extents:
            source.seek(offset)
            content += source.read(min(length, most - len(content)))
        return content


def _kinds(iinf: bytes) -> dict[int, bytes]:
    if not iinf:
        return {}
    table = Numbers(iinf)
    table.next(2 if table.version == 0 else 4)
    kinds = {}
    for _, body in split(table.rest()):
        entry = Numbers(body)
        item = entry.next(4 if entry.version == WIDE_INFE else 2)
        entry.next(2)
        kinds[item] = entry.rest()[:4]
    return kinds


def _references(iref: bytes, wanted: bytes) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    if not iref:
        return found
    table = Numbers(iref)
    form, size = (">{}H", 2) if table.version == 0 else (">{}I", 4)
    for kind, body in split(table.rest()):
        if kind == wanted:
            item, count = int.from_bytes(body[:size]), int.from_bytes(body[size : size + 2])
            found[item] += struct.unpack_from(form.format(count), body, size + 2)
    return found


def _sizes(ipco: bytes, tables: list[bytes]) -> dict[int, int]:
    """Return the pixels of each item by its `ispe` property."""
    pixels = [_pixels(body) if kind == b"ispe" else 0 for kind, body in split(ipco)]
    sizes: dict[int, int] = {}
    for content in tables:
        table = Numbers(content)
        for _ in range(table.next(4)):
            item = table.next(2 if table.version == 0 else 4)
            wide = table.flags & 1
            for _ in range(table.next(1)):
                index = table.next(2) & 0x7FFF if wide else table.next(1) & 0x7F
                if 0 < index <= len(pixels):
                    sizes[item] = max(sizes.get(item, 0), pixels[index - 1])
    return sizes


def _pixels(ispe: bytes) -> int:
    size = Numbers(ispe)
    return size.next(4) * size.next(4)


def _places(iloc: bytes, end: int) -> dict[int, _Place]:
    """Return how the bytes of each item are found: the method, and the offset and length of each extent."""
    places: dict[int, _Place] = {}
    if not iloc:
        return places
    table = Numbers(iloc)
    offset_size, length_size = divmod(table.next(1), 16)
    base_size, index_size = divmod(table.next(1), 16)
    wide = 4 if table.version > 1 else 2
    for _ in range(_limited(table.next(wide), MAX_ITEMS)):
        item = table.next(wide)
        method = table.next(2) & 15 if table.version else IN_FILE
        table.next(2)
        base, extents = table.next(base_size), []
        for _ in range(_limited(table.next(2), MAX_EXTENTS)):
            if table.version:
                table.next(index_size)
            offset = base + table.next(offset_size)
            extents.append((offset, table.next(length_size) or end - offset))
        places[item] = (method, extents)
    return places


def _limited(count: int, most: int) -> int:
    if count > most:
        raise TooLargeError(TOO_MANY)
    return count
