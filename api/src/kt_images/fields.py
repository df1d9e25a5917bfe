"""The types of single fields: names, tags, ids and numbers, checked and normalised.

What comes from outside is normalised here, once, so that a tag is searched in the form in which it was stored.
"""

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

MAX_ID = 2**63 - 1
MAX_TAGS = 64
MAX_TAG_LENGTH = 100
MAX_FILENAME_BYTES = 255

# NUL and the other control characters, and halves of surrogate pairs, which no UTF-8 can hold.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# No text shrinks more than this in NFC; normalising is quadratic in its marks, so longer ones are refused unread.
_NFC_SHRINKS = 4
_SHA256 = re.compile("[0-9A-Fa-f]{64}")
# Repeated tags count once, but not without end.
MOST_TAGS_READ = 4 * MAX_TAGS


def _filename(text: str) -> str:
    if len(text) <= _NFC_SHRINKS * MAX_FILENAME_BYTES and not _FORBIDDEN.search(text):
        name = unicodedata.normalize("NFC", text)
        if 1 <= len(name.encode()) <= MAX_FILENAME_BYTES and name not in {".", ".."} and not set(name) & set("/\\"):
            return name
    raise PydanticCustomError(
        "filename", "A filename is 1 to 255 bytes of UTF-8, without slashes and control characters"
    )


def _tag(text: str) -> str:
    text = text.strip()
    if len(text) <= _NFC_SHRINKS * MAX_TAG_LENGTH and not _FORBIDDEN.search(text):
        tag = unicodedata.normalize("NFC", text)
        if 1 <= len(tag) <= MAX_TAG_LENGTH:
            return tag
    raise PydanticCustomError("tag", "A tag is 1 to 100 characters, without control characters")


def _sha256(text: str) -> str:
    if _SHA256.fullmatch(text):
        return text.lower()
    raise PydanticCustomError("sha256", "A SHA-256 is 64 hexadecimal digits")


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


def _digits(value: Any) -> Any:
    # int() also takes " 1", "1_000" and other scripts' digits.
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise PydanticCustomError("digits", "Digits only")
    return value


Filename = Annotated[
    str,
    AfterValidator(_filename),
    Field(
        description="1 to 255 bytes of UTF-8, without slashes and control characters; kept in Unicode NFC.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_FILENAME_BYTES},
        examples=["example.jpg"],
    ),
]
Tag = Annotated[
    str,
    AfterValidator(_tag),
    Field(
        description="1 to 100 characters, case-sensitive, kept in Unicode NFC and without blanks around it.",
        json_schema_extra={"minLength": 1},
    ),
]
Tags = Annotated[list[Tag], BeforeValidator(_few), AfterValidator(_tags)]
Sha256 = Annotated[
    str,
    AfterValidator(_sha256),
    Field(description="64 hexadecimal digits, in either case.", json_schema_extra={"pattern": f"^{_SHA256.pattern}$"}),
]
ImageId = Annotated[int, Field(description="The image's id.", ge=1, le=MAX_ID)]
Count = Annotated[int, BeforeValidator(_digits), Field(ge=1, le=MAX_ID)]
Position = Annotated[int, BeforeValidator(_digits), Field(ge=0, le=MAX_ID)]
