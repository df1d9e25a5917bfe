"""Digests in headers (RFC 9530): what a client says of the bytes that it sends, and what we say of ours."""

import base64
import binascii
import re
from collections.abc import Iterable

from multidict import CIMultiDict, CIMultiDictProxy

from kt_images.errors import InvalidRequestError

HEADERS = ("Repr-Digest", "Content-Digest")
SHA256 = "sha-256"
SHA256_BYTES = 32

# A member of a dictionary of byte sequences (RFC 9651): name=:base64:, with parameters that mean nothing here.
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:;[^,]*)?\s*")


def sha256(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> set[str]:
    """Return the SHA-256 that the headers name, in hexadecimal; other algorithms are left aside.

    Raises InvalidRequestError when a header cannot be understood.
    """
    members = [member for name in HEADERS for line in headers.getall(name, ()) for member in line.split(",")]
    return set(_known(members))


def _known(members: list[str]) -> Iterable[str]:
    for member in members:
        found = _MEMBER.fullmatch(member)
        if not found:
            raise InvalidRequestError("A digest is written as sha-256=:base64:")
        if found[1] == SHA256:
            try:
                digest = base64.b64decode(found[2], validate=True)
            except binascii.Error:
                digest = b""
            if len(digest) != SHA256_BYTES:
                raise InvalidRequestError("A SHA-256 has 32 bytes, written in base64")
            yield digest.hex()


def header(sha256: str) -> str:
    """Return the hexadecimal digest as the value of a header."""
    return f"{SHA256}=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
