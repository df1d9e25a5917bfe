"""How a key is written: `kti_<id>_<secret>_<checksum>`, in base62 (digits, capitals, small letters).

The shape lets scanners find keys that were published by mistake, and the checksum (CRC-32 of what stands before it)
tells a typo without asking anybody. The secret is 256 random bits: it needs neither salt nor a slow hash.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 8, 43, 6
SECRET_BYTES = 32

_SHAPE = re.compile(
    rf"(kti_([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}})_([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


class Secret(NamedTuple):
    """A key as its holder sends it, and the id in it."""

    text: str
    key_id: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the whole, in hexadecimal digits: all that is kept of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def proves(self, digest: str) -> bool:
        """Return whether it is the secret of this digest; in constant time."""
        return hmac.compare_digest(digest, self.digest)


def make(key_id: str | None = None) -> Secret:
    """Return a new secret, for a key that exists or a new one."""
    key_id = key_id or _base62(secrets.randbelow(len(DIGITS) ** ID_LENGTH), ID_LENGTH)
    body = f"kti_{key_id}_{_base62(int.from_bytes(secrets.token_bytes(SECRET_BYTES)), SECRET_LENGTH)}"
    return Secret(f"{body}_{_checksum(body)}", key_id)


def parse(text: str) -> Secret | None:
    """Return the secret, or None if the text cannot be one."""
    found = _SHAPE.fullmatch(text)
    return Secret(text, found[2]) if found and found[3] == _checksum(found[1]) else None


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(DIGITS))
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))
