"""Conditions and ranges of a request for a file (RFC 9110, sections 13 and 14)."""

import re
from http import HTTPMethod

from aiohttp import ETag, hdrs, web

from kt_images.errors import PreconditionFailedError, UnsatisfiableRangeError

ANY = "*"
NO_BYTES = re.compile("bytes=-0+")


def client_has(request: web.Request, etag: str) -> bool:
    """Return whether the client already has the version `etag`. Raises PreconditionFailedError for its If-Match."""
    if request.if_match is not None and not _named(etag, request.if_match, weak=False):
        raise PreconditionFailedError
    return request.if_none_match is not None and _named(etag, request.if_none_match, weak=True)


def wanted_part(request: web.Request, etag: str, size: int) -> range | None:
    """Return which of the `size` bytes the client wants, None for all.

    Several ranges, a malformed range, and a range of another version than `etag` mean all bytes. Raises
    UnsatisfiableRangeError for a range that starts beyond the end, and for the last 0 bytes.
    """
    if hdrs.RANGE not in request.headers or request.method != HTTPMethod.GET:
        return None
    if request.headers.get(hdrs.IF_RANGE, f'"{etag}"') != f'"{etag}"':
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    part = range(*asked.indices(size))
    # aiohttp takes the last 0 bytes for all of them.
    if not part or NO_BYTES.fullmatch(request.headers[hdrs.RANGE]):
        raise UnsatisfiableRangeError(size)
    return part


def _named(etag: str, named: tuple[ETag, ...], *, weak: bool) -> bool:
    return any(one.value in {etag, ANY} and (weak or not one.is_weak) for one in named)
