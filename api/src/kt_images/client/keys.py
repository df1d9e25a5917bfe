"""Keys: how they are written, and what the service says of them.

A key is `kti_<id>_<secret>_<checksum>`; the checksum is the CRC-32 of what stands before it, in base62.
"""

import re
import string
import zlib
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.json import Decoder

from kt_images.client.errors import InvalidKeyError

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHECKSUM_LENGTH = 6

_KEY = re.compile(r"(kti_([0-9A-Za-z]{8})_[0-9A-Za-z]{43})_([0-9A-Za-z]{6})")
_ID = re.compile(r"[0-9A-Za-z]{8}")


def key_id(key: str) -> str:
    """Return the id in a key. Raises InvalidKeyError, which does not repeat it, if it is misspelt."""
    found = _KEY.fullmatch(key)
    if not found:
        raise InvalidKeyError("That is no key: a key looks like kti_, 8, 43 and 6 letters and digits, joined by _")
    if found[3] != checksum(found[1]):
        raise InvalidKeyError("The key is misspelt: its last 6 characters do not match the others")
    return found[2]


def checksum(text: str) -> str:
    """Return the checksum of what stands before it in a key."""
    number, digits = zlib.crc32(text.encode()), ""
    while len(digits) < CHECKSUM_LENGTH:
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def path(id_: str) -> str:
    """Return the path of the key with this id. Raises InvalidKeyError."""
    if not _ID.fullmatch(id_):
        raise InvalidKeyError("The id of a key is 8 letters and digits")
    return f"keys/{id_}"


class Key(Struct, frozen=True):
    """A key, without its secret."""

    id: str
    name: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    created_by: str | None
    """The id of the key that made it."""


class IssuedKey(Key, frozen=True):
    """A key with its secret, `key`, which the service tells this once."""

    key: str

    def __repr__(self) -> str:
        """Without the secret: it must not come into a log."""
        return f"IssuedKey(id={self.id!r}, name={self.name!r}, key=…)"


read_keys = Decoder(list[Key]).decode
read_issued = Decoder(IssuedKey).decode
