"""The size of a WebP, from its first bytes: its reader allocates the canvas before it says how large it is."""

from typing import BinaryIO

HEAD = 30
BITS_14, BITS_24 = 2**14 - 1, 2**24 - 1


def pixels(file: BinaryIO) -> int:
    """Return the pixels of the canvas, 0 for a file of another format (WebP container, RFC 9649, section 2)."""
    head = file.read(HEAD)
    if len(head) < HEAD or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0
    match head[12:16]:
        case b"VP8X":
            size = int.from_bytes(head[24:30], "little")
            return ((size & BITS_24) + 1) * ((size >> 24) + 1)
        case b"VP8L":
            size = int.from_bytes(head[21:25], "little")
            return ((size & BITS_14) + 1) * ((size >> 14 & BITS_14) + 1)
        case b"VP8 ":
            size = int.from_bytes(head[26:30], "little")
            return (size & BITS_14) * (size >> 16 & BITS_14)
    return 0
