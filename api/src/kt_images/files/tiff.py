"""What a TIFF asks of its reader, worked out before Pillow reads it."""

from collections.abc import Iterator
from typing import BinaryIO

from PIL import TiffImagePlugin

# Where each strip or tile begins takes at least 2 bytes in one of these tags.
PIECE_TAGS = (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.TILEOFFSETS)
PIECE_TAG_SIZE = 2
BIG_TIFF = 43


def demand(file: BinaryIO, max_pages: int) -> Iterator[tuple[int, int]]:
    """Give for each page how many strips or tiles there are so far, and how many bytes of tags.

    Pillow makes objects of all of them before it knows the picture's size. Nothing for a file of another format.
    Raises ValueError for pages that go round in a circle.
    """
    header = file.read(8)
    if header[:4] not in TiffImagePlugin.PREFIXES:
        return
    directory = TiffImagePlugin.ImageFileDirectory_v2(header + (file.read(8) if header[2] == BIG_TIFF else b""))
    pieces = size = 0
    seen: set[int] = set()
    while directory.next and len(seen) <= max_pages:
        if directory.next in seen:
            raise ValueError("A page names an earlier one as the next")
        seen.add(directory.next)
        file.seek(directory.next)
        directory.load(file)
        tags = directory._tagdata  # noqa: SLF001 (as bytes; asked for by their names they are objects)
        pieces += sum(len(tags.get(tag, b"")) for tag in PIECE_TAGS) // PIECE_TAG_SIZE
        size += sum(len(data) for data in tags.values())
        yield pieces, size
