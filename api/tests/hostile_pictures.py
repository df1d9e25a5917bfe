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
GIF = drawn("GIF")
PALETTE_END = 13 + 3 * (2 << (GIF[10] & 7))


def jpeg(side, marker, scan):
    """A grey JPEG with these bytes as its scans; `marker` says how they are coded."""
    table = b"\xff\xdb\0\x43\0" + b"\1" * 64
    frame = b"\xff" + marker + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\1\x11\0"
    return b"\xff\xd8" + table + frame + scan + b"\xff\xd9"


def scan(first, last):
    """An arithmetically coded scan that has no more to say than that all is zero."""
    return b"\xff\xda\0\x08\1\1\0" + bytes([first, last, 0]) + bytes(8)


def frames(count, side):
    """An animated PNG that paints all of its canvas again and again."""
    rows = zlib.compress(bytes(side * (4 * side + 1)), 9)
    content = PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    content += chunk(b"acTL", struct.pack(">II", count, 0))
    for number in range(count):
        content += chunk(b"fcTL", struct.pack(">IIIIIHHBB", max(0, 2 * number - 1), side, side, 0, 0, 1, 1, 1, 1))
        content += chunk(b"fdAT", struct.pack(">I", 2 * number) + rows) if number else chunk(b"IDAT", rows)
    return content + chunk(b"IEND", b"")


def run_lengths(side):
    """A BMP in which each row is a few bytes."""
    row = b"\xff\1" * (side // 255) + bytes([side % 255, 1]) + b"\0\0"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(head)) + head + row * side + b"\0\1"


def denied(form, side):
    """A picture whose container denies how large it is."""
    content = bytearray(drawn(form, (side, side), quality=1))
    size = content.index(b"ispe") + 8
    content[size : size + 8] = struct.pack(">II", 16, 16)
    return bytes(content)


def far_away():
    """A BigTIFF whose directory lies where no file can be."""
    return b"II\x2b\0\x08\0\0\0" + struct.pack("<Q", 2**64 - 1) + bytes(50)


# The same shapes, but cheap: seeds of a hundred thousand others.
HARMLESS = [
    tile_bomb(200), tiff((256, 9), (257, 9), (262, 1), (273, 8), following=8), mpo_with_a_costly_second(scans(30, 40)),
    JPEG_BYTES[:2] + b"\xff\xe1" + struct.pack(">H", 65_000) + EXIF[:64_998].ljust(64_998, b"\0") + JPEG_BYTES[2:],
    jpeg(100, b"\xc9", scan(0, 63)), jpeg(100, b"\xca", scan(0, 0) + b"".join(scan(n, n) for n in range(1, 20))),
    frames(5, 40), run_lengths(100), denied("AVIF", 64), far_away(),
]  # fmt: skip

HOSTILE = {
    "a tile of 20,000 x 20,000 in a picture of 161 x 161": lambda: tile_bomb(20_000),
    "a page that names itself as the next": lambda: tiff((256, 9), (257, 9), (262, 1), (273, 8), following=8),
    "a second picture with 400 scans": lambda: mpo_with_a_costly_second(scans(400, 4000)),
    "millions of markers": lambda: JPEG_BYTES[:2] + b"\xff\xe2\0\2" * 4_000_000 + JPEG_BYTES[2:],
    "60 MB of EXIF": lambda: (
        JPEG_BYTES[:2] + (b"\xff\xe1" + struct.pack(">H", 65_000) + EXIF[:64_998].ljust(64_998, b"\0")) * 920 + JPEG_BYTES[2:]
    ),
    "a million private chunks": lambda: PNG[:33] + chunk(b"prVt", b"") * 1_000_000 + PNG[33:],
    "a hundred million pixels in 160 bytes": lambda: jpeg(10_000, b"\xc9", scan(0, 63)),
    "the same in 20 scans": lambda: jpeg(10_000, b"\xca", scan(0, 0) + b"".join(scan(n, n) for n in range(1, 20))),
    "a hundred frames": lambda: frames(100, 700),
    "millions of extensions": lambda: GIF[:PALETTE_END] + b"!\xf9\4\0\0\0\0\0" * 1_000_000 + GIF[PALETTE_END:],
    "a comment of 60 MB": lambda: GIF[:PALETTE_END] + b"!\xfe" + (b"\xff" + bytes(255)) * 240_000 + b"\0" + GIF[PALETTE_END:],
    "millions of empty pieces": lambda: PNG[:33] + chunk(b"IDAT", b"") * 500_000 + PNG[33:],
    "texts that inflate": lambda: PNG[:33] + chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(1_000_000))) * 60 + PNG[33:],
    "a profile of 60 MB": lambda: drawn("WEBP", (800, 600), icc_profile=bytes(60 * MEGABYTE)),
    "thousands of resources": lambda: (
        JPEG_BYTES[:2] + (b"\xff\xed" + struct.pack(">H", 60_016) + b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000) * 500
        + JPEG_BYTES[2:]
    ),
    "tags that declare gigabytes": lambda: b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + b"".join(
        struct.pack("<HHII", 1000 + n, 1, 2**31 - 1, 0) for n in range(60_000)
    ) + bytes(4),
    "rows of a few bytes": lambda: run_lengths(10_000),
    "a picture of 4,000 x 4,000 as one of 16 x 16": lambda: denied("AVIF", 4000),
    "a directory beyond the end of any file": far_away,
    "a frame of a thousand million pixels": lambda: PNG[:16] + struct.pack(">II", 32_000, 32_000) + PNG[24:],
}  # fmt: skip
