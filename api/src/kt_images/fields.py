"""The types of single fields: names, tags, digests, ids and numbers.

Input is checked and normalised here, once, so that a search finds a tag exactly as it was stored.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from kt_images.errors import NotFoundError

T = TypeVar("T")

MAX_ID = 2**63 - 1
MAX_TAGS = 64
MAX_TAG_LENGTH = 100
MAX_FILENAME_BYTES = 255

# NUL and the other control characters, and halves of surrogate pairs, which UTF-8 cannot encode.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# No text shrinks more than this in NFC. Normalising is quadratic in combining marks, so longer texts are refused first.
_NFC_SHRINKS = 4
# Repeated tags count once, but a list of a million of them is not read.
MOST_TAGS_READ = 4 * MAX_TAGS
_SHA256 = re.compile("[0-9A-Fa-f]{64}")
_ID = re.compile("[1-9][0-9]{0,18}")


def _filename(text: str) -> str:
    if len(text) <= _NFC_SHRINKS * MAX_FILENAME_BYTES and not _FORBIDDEN.search(text):
        name = unicodedata.normalize("NFC", text)
        if 1 <= len(name.encode()) <= MAX_FILENAME_BYTES and name not in {".", ".."} and not set(name) & set("/\\"):
            return name
    raise PydanticCustomError(
        "filename", "A filename is 1 to 255 bytes of UTF-8, without slashes, backslashes and control characters"
    )


def _tag(text: str) -> str:
    text = text.strip()
    if text.isascii() and text.isprintable() and 1 <= len(text) <= MAX_TAG_LENGTH:
        return text  # as most tags are; the rest takes three times as long
    if len(text) <= _NFC_SHRINKS * MAX_TAG_LENGTH and not _FORBIDDEN.search(text):
        tag = unicodedata.normalize("NFC", text)
        if 1 <= len(tag) <= MAX_TAG_LENGTH:
            return tag
    raise PydanticCustomError("tag", "A tag is 1 to 100 characters, without control characters")


def _few(tags: Any) -> Any:
    # Each refused element becomes an object; a body of a megabyte holds half a million.
    if isinstance(tags, list) and len(tags) > MOST_TAGS_READ:
        raise PydanticCustomError("tags_length", "An image has at most 64 tags")
    return tags


def _tags(tags: list[str]) -> list[str]:
    unique = list(dict.fromkeys(tags))
    if len(unique) > MAX_TAGS:
        raise PydanticCustomError("tags_length", "An image has at most 64 tags")
    return unique


def _sha256(text: str) -> str:
    if _SHA256.fullmatch(text):
        return text.lower()
    raise PydanticCustomError("sha256", "A SHA-256 is 64 hexadecimal digits")


def _image_id(text: str) -> int:
    # It is part of a URL: if it is malformed, there is no such URL.
    if _ID.fullmatch(text) and int(text) <= MAX_ID:
        return int(text)
    raise NotFoundError(f"There is no such URL: an image's id is a number, digits only, from 1 to {MAX_ID}")


def _number(lowest: int) -> Callable[[Any], int]:
    def number(text: Any) -> int:
        # int() also takes " 1", "1_000" and the digits of other scripts; a repeated parameter is a list.
        if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)):
            value = int(text)
            if lowest <= value <= MAX_ID:
                return value
        raise PydanticCustomError(
            "number", "Give one number, digits only, from {lowest} to {highest}", {"lowest": lowest, "highest": MAX_ID}
        )

    return number


def _without_null(schema: dict[str, Any]) -> None:
    schema.pop("default", None)
    if "anyOf" in schema:  # not again: the schema of a parameter passes here twice
        value, _null = schema.pop("anyOf")
        schema.update({**value, **schema})


# In the document's regular expressions.
_CONTROL = r"\u0000-\u001f\u007f-\u009f"

# Left out by a client, and None in the code; null is no value that a client can send.
Omittable = Annotated[T | None, Field(json_schema_extra=_without_null)]

Filename = Annotated[
    str,
    AfterValidator(_filename),
    Field(
        description="1 to 255 bytes of UTF-8 without slashes, backslashes and control characters; kept in Unicode NFC.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_FILENAME_BYTES,
            "pattern": rf"^[^/\\{_CONTROL}]+$",
            "not": {"type": "string", "enum": [".", ".."]},
        },
        examples=["example.jpg"],
    ),
]
Tag = Annotated[
    str,
    AfterValidator(_tag),
    Field(
        description="1 to 100 characters, case-sensitive; kept in Unicode NFC, without surrounding blanks.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_TAG_LENGTH,
            "pattern": rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$",
        },
        examples=["canon"],
    ),
]
Tags = Annotated[
    list[Tag], BeforeValidator(_few), AfterValidator(_tags), Field(json_schema_extra={"maxItems": MOST_TAGS_READ})
]
Sha256 = Annotated[
    str,
    AfterValidator(_sha256),
    Field(
        description="64 hexadecimal digits, in upper or lower case.",
        json_schema_extra={"pattern": f"^{_SHA256.pattern}$"},
    ),
]
ImageId = Annotated[
    int,
    Field(description="The image's id.", ge=1, le=MAX_ID, json_schema_extra={"format": "int64"}),
    BeforeValidator(_image_id),
]
Count = Annotated[int, Field(ge=1, le=MAX_ID, json_schema_extra={"format": "int64"}), BeforeValidator(_number(1))]
Position = Annotated[int, Field(ge=0, le=MAX_ID, json_schema_extra={"format": "int64"}), BeforeValidator(_number(0))]
