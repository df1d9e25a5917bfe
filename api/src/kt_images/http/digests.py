"""Digests in headers (RFC 9530): of the bytes that a client sends, and of those that it gets."""

import base64
import binascii
import re
from collections.abc import Iterable

from multidict import CIMultiDict, CIMultiDictProxy

from kt_images.errors import InvalidRequestError

HEADERS = ("Repr-Digest", "Content-Digest")
SHA256 = "sha-256"
SHA256_BYTES = 32

# A member of a dictionary of byte sequences (RFC 9651): name=:base64:, with parameters that are ignored.
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:;[^,]*)?\s*")


def sha256(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> set[str]:
    """Return the SHA-256 in the headers, in hexadecimal; other algorithms are ignored.

    Raises InvalidRequestError for a header that cannot be parsed.
    """
    members = [member for name in HEADERS for line in headers.getall(name, ()) for member in line.split(",")]
    return set(_known(members))


def _known(members: list[str]) -> Iterable[str]:
    for member in members:
        parsed = _MEMBER.fullmatch(member)
        if not parsed:
            raise InvalidRequestError("Write a digest as sha-256=:…:, with its bytes in base64 between the colons")
        if parsed[1] == SHA256:
            try:
                digest = base64.b64decode(parsed[2], validate=True)
            except binascii.Error:
                digest = b""
            if len(digest) != SHA256_BYTES:
                raise InvalidRequestError("The sha-256 of a digest header must be 32 bytes in base64")
            yield digest.hex()


def header(sha256: str) -> str:
    """Return the value of a digest header for a SHA-256 in hexadecimal."""
    return f"{SHA256}=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
