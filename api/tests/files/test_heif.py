"""HEIC and HEIF, as telephones make them, and as an attacker might."""

import struct
import time
from io import BytesIO

import pillow_heif
import pytest
from PIL import ExifTags, Image

from kt_images.errors import InvalidRequestError, TooLargeError, UnsupportedMediaTypeError
from kt_images.files.pictures import Picture
from kt_images.files.shrinking import shrink
from pictures import ROTATED, drawn

SIDE = 256


def heic(image=None, **options):
    file = BytesIO()
    pillow_heif.register_heif_opener()
    (image or Image.effect_noise((150, 100), 80).convert("RGB")).save(file, "HEIF", **options)
    return file.getvalue()


def branded(brand, content):
    return content[:8] + brand + content[12:]


def ten_bits():
    made = pillow_heif.from_bytes("RGB;16", (150, 100), b"\x10\x80" * 150 * 100 * 3)
    made.save(file := BytesIO())
    return file.getvalue()


PLAIN = heic()
FRAMES = [Image.effect_noise((150, 100), 80).convert("RGB") for _ in range(3)]
PRIMARY_IS_LAST = heic(
    FRAMES[0], save_all=True, append_images=[*FRAMES[1:], Image.new("RGB", (60, 90))], primary_index=3
)
WHOLE = {
    "photo": PLAIN, "gray": heic(Image.effect_noise((150, 100), 80)), "transparent": heic(Image.new("RGBA", (150, 100))),
    "10 bits": ten_bits(), "several": heic(FRAMES[0], save_all=True, append_images=FRAMES[1:]),
    "tiles": heic(Image.effect_noise((150, 100), 80).convert("RGB"), tile_size=64), "with a thumbnail": heic(thumbnails=[64]),
}  # fmt: skip


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_it_is_taken_whole_and_not_when_it_is_truncated_anywhere(look, content):
    assert look(content) == Picture("image/heic", "heic", 150, 100)
    for length in [*range(0, len(content), 50), len(content) - 1]:
        with pytest.raises((InvalidRequestError, UnsupportedMediaTypeError)):
            look(content[:length])


@pytest.mark.parametrize(
    ("brand", "content_type"),
    [(b"heic", "image/heic"), (b"heix", "image/heic"), (b"hevc", "image/heic"), (b"mif1", "image/heif"), (b"msf1", "image/heif")],
)  # fmt: skip
def test_its_brand_decides_its_type(look, brand, content_type):
    found = look(branded(brand, PLAIN))
    assert (found.content_type, found.extension) == (content_type, content_type.removeprefix("image/"))


def test_a_picture_that_was_turned_is_turned_once(look):
    """The container says how (irot), and EXIF says it again."""
    turned = heic(exif=ROTATED.tobytes())
    assert b"irot" in turned
    found = look(turned)
    assert (found.width, found.height) == (100, 150)
    with Image.open(BytesIO(shrink(BytesIO(turned), 50, lambda _: None))) as small:
        assert small.size == (50, 75)
        assert small.getexif().get(ExifTags.Base.Orientation, 1) == 1


def test_the_size_is_that_of_the_picture_that_is_shown(look):
    found = look(PRIMARY_IS_LAST)
    assert (found.width, found.height) == (60, 90)
    with Image.open(BytesIO(shrink(BytesIO(PRIMARY_IS_LAST), 30, lambda _: None))) as small:
        assert small.size == (30, 45)


@pytest.mark.parametrize("name", WHOLE)
def test_a_thumbnail_is_made_of_each(name):
    with Image.open(BytesIO(shrink(BytesIO(WHOLE[name]), 40, lambda _: None))) as small:
        assert small.size == (40, 27)


def test_a_thumbnail_is_never_the_one_inside_the_file():
    """It may show something else."""
    red, blue = heic(Image.new("RGB", (400, 400), "red")), heic(Image.new("RGB", (100, 100), "blue"))
    file = layered(red, (400, 400), [(b"hvc1", (100, 100), inside(blue))], [(b"thmb", 2, [1])])
    with Image.open(BytesIO(shrink(BytesIO(file), 50, lambda _: None))) as small:
        red, _, blue = small.convert("RGB").getpixel((20, 20))
    assert red > 4 * blue


def test_all_images_of_a_file_count(look):
    assert look(WHOLE["several"], 3 * 150 * 100).width == 150
    with pytest.raises(TooLargeError):
        look(WHOLE["several"], 3 * 150 * 100 - 1)


async def test_over_http_it_is_stored_shown_and_found_as_what_it_is(client):
    stored = await client.post("/images/upload", data={"image": BytesIO(PLAIN)})
    assert stored.status == 201
    (file,) = await (await client.get("/images/1/attachments")).json()
    assert (file["content_type"], file["width"], file["height"]) == ("image/heic", 150, 100)
    whole = await client.get(file["url"])
    assert (whole.content_type, await whole.read()) == ("image/heic", PLAIN)
    wide = await client.post("/images/upload", data={"image": BytesIO(heic(Image.new("RGB", (400, 300))))})
    assert wide.status == 201
    (file,) = await (await client.get("/images/2/attachments")).json()
    small = await client.get(f"/media/2/{file['filename']}?width=160")
    assert small.content_type == "image/webp"


async def test_the_refusal_of_another_format_names_those_that_are_stored(client):
    refused = await client.post("/images/upload", data={"image": BytesIO(b"%PDF-1.7")})
    assert refused.status == 415
    sentence = (await refused.json())["error"]
    assert all(name in sentence for name in ("JPEG", "HEIC", "HEIF", "AVIF", "TIFF"))


def test_avif_is_still_avif(look):
    assert look(drawn("AVIF")).content_type == "image/avif"


# What libheif would do for hours or in gigabytes. Written by hand: no encoder makes such files.


def box(kind, *content):
    body = b"".join(content)
    return struct.pack(">I", len(body) + 8) + kind + body


def full(kind, version, flags, *content):
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def inside(content):
    """The decoder's configuration and the coded picture of a file with one image."""
    start = content.index(b"hvcC") - 4
    size = int.from_bytes(content[start : start + 4])
    return content[start : start + size], content[content.index(b"mdat") + 4 :]


def layered(content, size, more, references):
    """A file whose item 1 is the image of another file, with `more` items (kind, size, bytes) and their references."""
    items = [(b"hvc1", size, inside(content)), *more]
    properties, tables, entries, bodies = [], [], [], []
    for number, (kind, (width, height), body) in enumerate(items, 1):
        config, coded = body if isinstance(body, tuple) else (None, body)
        bodies.append(coded)
        properties += [config] if config else []
        properties.append(full(b"ispe", 0, 0, struct.pack(">II", width, height)))
        used = [len(properties) - 1, len(properties)] if config else [len(properties)]
        tables.append(struct.pack(">HB", number, len(used)) + bytes(used))
        entries.append(full(b"infe", 2, 0, struct.pack(">HH", number, 0), kind, b"\0" * 3))
    iref = full(b"iref", 1, 0, *(
        box(kind, struct.pack(f">IH{len(to)}I", item, len(to), *to)) for kind, item, to in references
    ))  # fmt: skip
    primary = struct.pack(">H", max([1, *(item for kind, item, _ in references if kind == b"dimg")]))
    fixed = [
        full(b"hdlr", 0, 0, b"\0\0\0\0pict", b"\0" * 13),
        full(b"pitm", 0, 0, primary),
        full(b"iinf", 0, 0, struct.pack(">H", len(items)), *entries),
        iref,
        box(b"iprp", box(b"ipco", *properties), full(b"ipma", 0, 0, struct.pack(">I", len(items)), *tables)),
    ]
    start = box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(offset):
        places, places_of = offset, []
        for number, body in enumerate(bodies, 1):
            places_of.append(struct.pack(">HHHHII", number, 0, 0, 1, places, len(body)))
            places += len(body)
        iloc = full(b"iloc", 1, 0, b"\x44\0", struct.pack(">H", len(bodies)), *places_of)
        return full(b"meta", 0, 0, *fixed, iloc)

    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", *bodies)


def grid(rows, columns, width, height):
    return b"\0\1" + bytes([rows - 1, columns - 1]) + struct.pack(">II", width, height)


def overlay(width, height, layers):
    return b"\0\1" + b"\0" * 8 + struct.pack(">II", width, height) + struct.pack(">ii", 0, 0) * layers


TILE = heic(Image.new("RGB", (SIDE, SIDE), "red"))
LARGE = heic(Image.new("RGB", (3000, 3000), "red"))
ONES = [1] * 10_000


def test_a_grid_as_honest_programs_make_it_is_taken(look):
    file = layered(TILE, (SIDE, SIDE), [(b"grid", (512, 512), grid(2, 2, 512, 512))], [(b"dimg", 2, [1] * 4)])
    assert look(file).width == 512


BOMBS = {
    "50,000 x 50,000": PLAIN.replace(struct.pack(">II", 150, 100), struct.pack(">II", 50_000, 50_000)),
    "a little too large": heic(Image.new("L", (4000, 2501))),
    "a large tile many times": layered(
        LARGE, (3000, 3000), [(b"grid", (100, 100), grid(100, 100, 100, 100))], [(b"dimg", 2, ONES)]
    ),
    "a small tile many times": layered(
        heic(Image.new("RGB", (64, 64))), (64, 64), [(b"grid", (100, 100), grid(250, 250, 100, 100))], [(b"dimg", 2, [1] * 62500)]
    ),
    "a canvas that its ispe denies": layered(
        TILE, (SIDE, SIDE), [(b"iovl", (100, 100), overlay(30_000, 30_000, 1))], [(b"dimg", 2, [1])]
    ),
    "a grid's canvas that its ispe denies": layered(
        TILE, (SIDE, SIDE), [(b"grid", (100, 100), grid(1, 1, 30_000, 30_000))], [(b"dimg", 2, [1])]
    ),
    "layers of layers": layered(
        LARGE, (3000, 3000), [(b"iovl", (100, 100), overlay(100, 100, 10))] * 3,
        [(b"dimg", 2, [1] * 10), (b"dimg", 3, [2] * 10), (b"dimg", 4, [3] * 10)],
    ),
    "deep": layered(
        TILE, (SIDE, SIDE), [(b"iden", (SIDE, SIDE), b"")] * 10, [(b"dimg", n, [n - 1]) for n in range(2, 12)]
    ),
    "metadata of many": layered(
        TILE, (SIDE, SIDE), [(b"Exif", (0, 0), b"x" * 2**20), *[(b"hvc1", (SIDE, SIDE), inside(TILE))] * 100],
        [(b"cdsc", 2, [1, *range(3, 103)])],
    ),
    "extents described in no bytes": PLAIN[:28] + full(b"meta", 0, 0, full(
        b"iloc", 2, 0, b"\0\0", struct.pack(">I", 100_000), struct.pack(">IHHH", 1, 0, 0, 65535) * 100_000
    )),
    "many boxes": PLAIN + box(b"free") * 20_000,
    "a huge meta": PLAIN[:28] + box(b"meta", b"\0" * 2**21),
}  # fmt: skip


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_libheif_sees_it(look, content):
    started = time.process_time()
    with pytest.raises(TooLargeError):
        look(content)
    assert time.process_time() - started < 1


def test_two_boxes_of_which_readers_may_choose_either_are_refused(look):
    with pytest.raises(InvalidRequestError):
        look(PLAIN + PLAIN[28:])


def test_images_that_are_parts_of_each_other_are_refused(look):
    with pytest.raises(InvalidRequestError):
        look(layered(TILE, (SIDE, SIDE), [(b"iden", (9, 9), b"")] * 2, [(b"dimg", 2, [3]), (b"dimg", 3, [2])]))


def test_damage_anywhere_is_never_a_failure_of_ours(look):
    for content in (WHOLE["tiles"], WHOLE["several"], BOMBS["layers of layers"][:3000]):
        for place in range(0, len(content), max(1, len(content) // 400)):
            try:
                look(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
            except (InvalidRequestError, UnsupportedMediaTypeError, TooLargeError):
                continue
