"""Pictures that cost far more than their size: each shape was found to hold up or to fill a service once."""

import struct
import zlib
from io import BytesIO

from PIL import Image

from pictures import JPEG, drawn

MEGABYTE = 2**20


def deflated(size):
    packer = zlib.compressobj(1)
    return b"".join([*(packer.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE + 1)), packer.flush()])


def tiff(*tags, data=b"", following=0):
    """A TIFF with one directory; a value of None is the place of `data`."""
    place = 8 + 2 + 12 * len(tags) + 4
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, place if value is None else value) for tag, value in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + fields + struct.pack("<I", following) + data


def tile_bomb(side):
    """A small picture with one tile that is anything but."""
    packed = deflated(side * side)
    return tiff(
        (256, 161), (257, 161), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side), (324, None),
        (325, len(packed)), data=packed,
    )  # fmt: skip


def scans(count, side):
    """A progressive JPEG that goes over its pixels again and again."""
    file = BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * count + b"\xff\xd9"


def mpo(*frames):
    file = BytesIO()
    first, *others = [Image.new("RGB", (8, 8)) for _ in frames]
    first.save(file, "MPO", save_all=True, append_images=others)
    return file.getvalue()


def mpo_with_a_costly_second(costly):
    """The first picture is tiny; the index says where the other one is, and how long."""
    content = bytearray(mpo(1, 2))
    second = content.rindex(b"\xff\xd8\xff")
    index = content.index(b"MPF\0")
    entry = content.index(struct.pack("<I", len(content) - second), index)
    content[entry : entry + 4] = struct.pack("<I", len(costly))
    return bytes(content[:second]) + costly


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


JPEG_BYTES = JPEG.read_bytes()
EXIF = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000) + b"".join(
    struct.pack("<HHII", 0x9000 + n % 4000, 2, 60000, 8) for n in range(5000)
)  # fmt: skip
PNG = drawn("PNG")

HOSTILE = {
    "a tile of 20,000 x 20,000 in a picture of 161 x 161": lambda: tile_bomb(20_000),
    "a page that names itself as the next": lambda: tiff((256, 9), (257, 9), (262, 1), (273, 8), following=8),
    "a second picture with 400 scans": lambda: mpo_with_a_costly_second(scans(400, 4000)),
    "millions of markers": lambda: JPEG_BYTES[:2] + b"\xff\xe2\0\2" * 4_000_000 + JPEG_BYTES[2:],
    "60 MB of EXIF": lambda: (
        JPEG_BYTES[:2] + (b"\xff\xe1" + struct.pack(">H", 65_000) + EXIF[:64_998].ljust(64_998, b"\0")) * 920 + JPEG_BYTES[2:]
    ),
    "a million private chunks": lambda: PNG[:33] + chunk(b"prVt", b"") * 1_000_000 + PNG[33:],
    "a frame of a thousand million pixels": lambda: PNG[:16] + struct.pack(">II", 32_000, 32_000) + PNG[24:],
}  # fmt: skip
