"""Image ids, as arguments and as lines of standard input."""

import operator
import sys
from array import array
from collections.abc import Iterable
from itertools import islice

from kt_images.cli.errors import MisusedError
from kt_images.cli.names import shown

STDIN = "-"
MAX_ID = 2**63 - 1


def image_id(text: str) -> int:
    """Return the text as an id. Raises MisusedError."""
    if not (text.isascii() and text.isdigit()):
        raise MisusedError(f"{shown(text[:40])!r} is not the id of an image; ids are numbers")
    if len(text) > len(str(MAX_ID)) or not 1 <= int(text) <= MAX_ID:
        raise MisusedError(f"{text[:40]} is not the id of an image; ids start at 1 and go up to {MAX_ID}")
    return int(text)


def image_ids(words: Iterable[str]) -> "array[int]":
    """Return the words as ids, each once; `-` stands for the words of standard input. Raises MisusedError.

    All are read before the first is used, at 8 bytes each, so that the program that writes them need not wait.
    """
    found = array("q")
    for word in words:
        if word == STDIN:
            for line in sys.stdin.buffer if sys.stdin else ():
                found.extend(image_id(text) for text in line.decode(errors="replace").split())
        else:
            found.append(image_id(word))
    return _unique(found)


def _unique(ids: "array[int]") -> "array[int]":
    if all(map(operator.lt, ids, islice(ids, 1, None))):
        return ids  # ascending, as `list --ids` writes them: finding repetitions in many takes ten times the memory
    return array("q", dict.fromkeys(ids))
