"""Pictures that are almost right: bytes, lengths and offsets changed, parts repeated, nested, moved and cut off."""

import random
import struct
from collections.abc import Iterator

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def flipped(dice: random.Random, content: bytearray, _: bytes) -> None:
    for _ in range(dice.choice((1, 2, 8, 64))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def extreme(dice: random.Random, content: bytearray, _: bytes) -> None:
    """A length or an offset, in either order of bytes."""
    form = dice.choice(("<H", ">H", "<I", ">I"))
    place = dice.randrange(max(1, min(len(content) - 4, 512) if dice.random() < 0.7 else len(content) - 4))
    struct.pack_into(form, content, place, dice.choice(EXTREMES) & (0xFFFF if "H" in form else 0xFFFF_FFFF))


def shifted(dice: random.Random, content: bytearray, _: bytes) -> None:
    """A length or an offset, a little too large or too small."""
    form = dice.choice(("<H", ">H", "<I", ">I"))
    place = dice.randrange(max(1, len(content) - 4))
    (value,) = struct.unpack_from(form, content, place)
    struct.pack_into(
        form, content, place, (value + dice.choice((-8, -1, 1, 8, 256))) % (0x10000 if "H" in form else 2**32)
    )


def repeated(dice: random.Random, content: bytearray, _: bytes) -> None:
    start = dice.randrange(len(content))
    part = bytes(content[start : start + dice.choice((4, 12, 64, 1024))])
    content[start:start] = part * dice.choice((1, 10, 1000))


def nested(dice: random.Random, content: bytearray, other: bytes) -> None:
    place = dice.randrange(len(content))
    content[place:place] = other[: dice.choice((64, 1024, len(other)))]


def moved(dice: random.Random, content: bytearray, _: bytes) -> None:
    start, target = dice.randrange(len(content)), dice.randrange(len(content))
    part = content[start : start + dice.choice((4, 16, 256))]
    content[target : target + len(part)] = part


def cut(dice: random.Random, content: bytearray, _: bytes) -> None:
    start = dice.randrange(len(content))
    del content[start : start + dice.choice((1, 4, 100, len(content)))]


KINDS = (flipped, extreme, extreme, shifted, repeated, nested, moved, cut)


def mutated(seeds: list[bytes], count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield so many pictures, the same for the same seed."""
    dice = random.Random(seed)
    for _ in range(count):
        content = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 2, 4))):
            if len(content) > 8:
                dice.choice(KINDS)(dice, content, dice.choice(seeds))
        yield bytes(content)
