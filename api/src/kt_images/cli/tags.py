"""Tags as the service compares them (in Unicode NFC, without surrounding white space), and in a cell of a table."""

import csv
import unicodedata
from collections.abc import Iterable, Sequence

from kt_images.client import Image


def split(words: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the words of `kt-images tag` as ids, tags to add and tags to remove; `-` stands for ids."""
    ids, add, remove = [], [], []
    for word in words:
        if word.startswith("+"):
            add.append(word[1:])
        elif word.startswith("-") and word != "-":
            remove.append(word[1:])
        else:
            ids.append(word)
    return ids, add, remove


def changes(add: Iterable[str], remove: Iterable[str]) -> str:
    """Return `+sea -todo`."""
    return " ".join([*(f"+{one}" for one in add), *(f"-{one}" for one in remove)])


def held(image: Image, tags: Sequence[str]) -> list[str]:
    """Return which of the tags the image has."""
    return [tag for tag in tags if _normal(tag) in image.tags]


def lacking(image: Image, tags: Sequence[str]) -> list[str]:
    """Return which of the tags the image lacks."""
    return [tag for tag in tags if _normal(tag) not in image.tags]


def joined(tags: Iterable[str]) -> str:
    """Return the tags as one cell of a table: `sea, "a, b"`. Those with a comma or a quotation mark are quoted."""
    return ", ".join('"' + tag.replace('"', '""') + '"' if set(tag) & set(',"') else tag for tag in tags)


def parted(cell: str) -> list[str]:
    """Return the tags that such a cell holds. Raises csv.Error."""
    return [tag for tag in next(csv.reader([cell], skipinitialspace=True), []) if tag.strip()]


def _normal(tag: str) -> str:
    return unicodedata.normalize("NFC", tag.strip())
