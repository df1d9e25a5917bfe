"""What is taken for a picture, what is not, and what a stranger's bytes may cost."""

import contextlib
import struct
import time
import tracemalloc
import zlib
from io import BytesIO

import pytest
from PIL import Image

from kt_images.errors import InvalidRequestError, KtImagesError, TooLargeError, UnsupportedMediaTypeError
from kt_images.files.pictures import MAX_FRAMES
from pictures import JPEG, drawn


def noise(form, mode="RGB", size=(150, 100), frames=1, **options):
    first, *others = [Image.effect_noise(size, 80).convert(mode) for _ in range(frames)]
    file = BytesIO()
    first.save(file, form, **({"save_all": True, "append_images": others} if others else {}), **options)
    return file.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *chunks):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *chunks, chunk(b"IEND", b"")])


def gif(width, height, frames, frame=(1, 1)):
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    one = b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\0"
    return head + one * frames + b";"


def strips(pages, count):
    """A TIFF, one pixel wide, with a strip for each pixel."""
    offsets, counts = 8, 8 + 4 * count
    directory = counts + 4 * count
    made = b"II*\0" + struct.pack("<I", directory) + struct.pack("<I", 8) * count + struct.pack("<I", 1) * count
    for page in range(pages):
        tags = [(256, 1, 1), (257, 1, count), (258, 1, 8), (259, 1, 1), (262, 1, 1), (273, count, offsets), (277, 1, 1),
                (278, 1, 1), (279, count, counts)]  # fmt: skip
        made += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, *rest) for tag, *rest in tags)
        made += struct.pack("<I", len(made) + 4 if page < pages - 1 else 0)
    return made


def many_scans(size, count):
    made = drawn("JPEG", size, "L", progressive=True)
    last = made[made.rindex(b"\xff\xda") : -2]
    return made[:-2] + last * count + b"\xff\xd9"


WHOLE = {
    "camera": JPEG.read_bytes(), "progressive": noise("JPEG", progressive=True), "cmyk": noise("JPEG", "CMYK"), "gray": noise("JPEG", "L"),
    "several in one": noise("MPO", frames=2), "png": noise("PNG"), "palette": noise("PNG", "P"), "one bit": noise("PNG", "1"),
    "16 bit": noise("PNG", "I;16"), "animated png": noise("PNG", frames=3), "gif": noise("GIF", "P"),
    "animated gif": noise("GIF", "P", frames=3), "webp": noise("WEBP"), "lossless webp": noise("WEBP", "RGBA", lossless=True),
    "animated webp": noise("WEBP", frames=3), "avif": noise("AVIF"), "animated avif": noise("AVIF", frames=3), "tiff": noise("TIFF"),
    "float tiff": noise("TIFF", "F"), "lab tiff": noise("TIFF", "RGB", compression="tiff_lzw"), "pages": noise("TIFF", frames=2),
    "bmp": noise("BMP"),
}  # fmt: skip


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_a_picture_is_taken_whole_and_not_at_any_kilobyte_where_it_is_cut_off(look, content):
    assert look(content).width in {150, 512}
    for length in [*range(0, len(content), 1024), len(content) // 2, len(content) - 100, len(content) - 20]:
        with pytest.raises((InvalidRequestError, UnsupportedMediaTypeError)):
            look(content[:length])


@pytest.mark.parametrize("name", ["png", "animated png", "gif", "animated gif", "camera", "webp"])
def test_not_even_the_last_byte_may_be_missing(look, name):
    with pytest.raises(InvalidRequestError):
        look(WHOLE[name][:-1])


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
        b"%PDF-1.7", b"P6 1 1 255 abc", noise("ICO"), noise("PPM"), noise("PDF"), noise("TGA"), noise("JPEG2000"),
    ],
)  # fmt: skip
def test_other_formats_are_not_even_tried(look, content):
    with pytest.raises(UnsupportedMediaTypeError):
        look(content)


BOMBS = {
    "50,000 x 50,000": png(50_000, 50_000, chunk(b"IDAT", zlib.compress(b"\0" * 1000))),
    "a little too large": drawn("PNG", (4000, 2501), "1"),
    "animated": gif(1000, 1000, 900),
    "many small frames": gif(1, 1, 200_000),
    "huge canvas": gif(65_535, 65_535, 2),
    "huge text": png(1, 1, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 200_000_000))),
    "many texts": png(1, 1, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 1_000_000))] * 100),
    "huge page": b"MM\0*\0\0\0\x08\0\x04" + b"".join(
        struct.pack(">HHII", tag, 4, 1, value) for tag, value in ((256, 60_000), (257, 60_000), (273, 0), (279, 100))
    ) + b"\0\0\0\0",
    "many strips": strips(1, 1_000_000),
    "many strips on many pages": strips(300, 1000),
    "many scans": many_scans((3000, 3000), 60),
    "huge webp": noise("WEBP", lossless=True).replace(struct.pack("<I", 0x2F)[:1], b"\x2f\xff\xff\xff\x0f", 1),
}  # fmt: skip


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_soon_and_takes_little_memory(look, content):
    started = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises((TooLargeError, UnsupportedMediaTypeError)):
            look(content)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(content) + 80 * 2**20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 5


def test_strips_and_scans_as_honest_programs_make_them_are_taken(look):
    assert look(strips(1, 5000)).height == 5000
    assert look(many_scans((400, 300), 10)).width == 400


def test_all_frames_together_count(look):
    assert look(gif(10, 10, MAX_FRAMES), 10 * 10 * MAX_FRAMES)
    with pytest.raises(TooLargeError):
        look(gif(10, 10, MAX_FRAMES), 10 * 10 * MAX_FRAMES - 1)
    with pytest.raises(TooLargeError):
        look(gif(10, 10, MAX_FRAMES + 1))


def test_a_page_behind_a_picture_does_not_change_its_type(look):
    """The bytes are both; they are only ever served as what they were found to be."""
    comment = b"!\xfe\x10<script>alert(1)\0"
    assert look(gif(1, 1, 1)[:-1] + comment + b";").content_type == "image/gif"
    assert look(JPEG.read_bytes() + b"<html><script>alert(1)</script>").content_type == "image/jpeg"


def test_damage_anywhere_is_never_a_failure_of_ours(look):
    for content in (WHOLE["animated png"], WHOLE["several in one"], WHOLE["pages"], WHOLE["animated avif"]):
        for place in range(0, len(content), len(content) // 150):
            with contextlib.suppress(KtImagesError):
                look(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
