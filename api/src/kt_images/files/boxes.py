"""The boxes of ISO/IEC 14496-12 (4.2), of which HEIF files are made: a size, a kind, and what is in them."""

import os
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from kt_images.errors import TooLargeError

# Honest files have a few dozen boxes, and a few dozen kilobytes in `meta`.
MAX_BOXES = 10_000
MAX_META_BYTES = 2**20

HEAD_SIZE = 8

TOO_MANY = "The image file has more boxes, or larger ones, than any camera writes"

Box = tuple[bytes, bytes]


class Numbers:
    """The numbers in a full box, one after the other; its version and flags are the first."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0
        self.version, self.flags = self.next(1), self.next(3)

    def next(self, size: int) -> int:
        """Return the next number, of `size` bytes. Raises ValueError at the end."""
        self._place += size
        if self._place > len(self._content):
            raise ValueError("A box is truncated")
        return int.from_bytes(self._content[self._place - size : self._place])

    def rest(self) -> bytes:
        """Return the bytes behind the numbers read so far."""
        return self._content[self._place :]


def read_meta(file: BinaryIO) -> list[Box]:
    """Return the boxes in the file's `meta`.

    Raises ValueError or struct.error when the last box ends beyond the file, TooLargeError for too many boxes.
    """
    end, place = file.seek(0, os.SEEK_END), 0
    metas: list[Box] = []
    for _ in range(MAX_BOXES):
        if end - place < HEAD_SIZE:
            return list(split(only(metas, b"meta")[4:]))
        file.seek(place)
        kind, header, size = _head(file.read(16), end - place)
        if kind == b"meta":
            if size > MAX_META_BYTES:
                raise TooLargeError(TOO_MANY)
            file.seek(place + header)
            metas.append((kind, file.read(size - header)))
        place += size
    raise TooLargeError(TOO_MANY)


def split(content: bytes) -> Iterator[Box]:
    """Give the boxes that follow each other in `content`. Raises ValueError, struct.error."""
    place = 0
    while place < len(content):
        kind, header, size = _head(content[place : place + 16], len(content) - place)
        yield kind, content[place + header : place + size]
        place += size


def only(boxes: Iterable[Box], wanted: bytes) -> bytes:
    """Return the content of the one box of a kind; nothing where there is none.

    Raises ValueError for two: readers choose differently.
    """
    found = [body for kind, body in boxes if kind == wanted]
    if len(found) > 1:
        raise ValueError("There are two boxes where one is allowed")
    return found[0] if found else b""


def _head(start: bytes, room: int) -> tuple[bytes, int, int]:
    """Return a box's kind, the size of its header and that of the whole box, which must not exceed `room`."""
    size, kind = struct.unpack_from(">I4s", start)
    header = HEAD_SIZE
    if size == 1:
        (size,), header = struct.unpack_from(">Q", start, 8), 16
    elif size == 0:
        size = room
    if not header <= size <= room:
        raise ValueError("A box is truncated")
    return kind, header, size
