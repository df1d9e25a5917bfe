"""A refusal of the service, by its status and in its own words, as an error."""

from http import HTTPStatus

import aiohttp
from msgspec import Struct
from msgspec.json import Decoder

from kt_images.client.errors import (
    ClientError,
    Fault,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    StoreFullError,
    UnauthorizedError,
    UnreachableError,
)
from kt_images.client.images import MALFORMED

LONGEST_PAUSE = 30.0  # seconds that a service may ask a client to wait
LONGEST_SENTENCE = 1000
# How a proxy answers when the service is down, and how the service does when its database is.
UNAVAILABLE = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
KINDS: dict[int, type[RefusedError]] = {
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.INSUFFICIENT_STORAGE: StoreFullError,
}


class _Refusal(Struct):
    error: str
    details: list[Fault] | None = None


_read_refusal = Decoder(_Refusal).decode


def error_of(response: aiohttp.ClientResponse, body: bytes, *, is_key_sent: bool) -> ClientError:
    """Return the error for an answer with a status of 400 or more."""
    sentence, faults = _sentence(response, body)
    wait = response.headers.get("Retry-After", "")
    # The service's own 504 is a statement that takes too long, without the header; nginx's, a service that is gone.
    if response.status in UNAVAILABLE or (response.status == HTTPStatus.GATEWAY_TIMEOUT and wait):
        return UnreachableError(sentence, min(float(wait), LONGEST_PAUSE) if wait.isdecimal() else 0.0)
    # A proxy may ask for a password, which is no key.
    scheme = response.headers.get("WWW-Authenticate", "").partition(" ")[0].lower()
    if response.status == HTTPStatus.UNAUTHORIZED and scheme == "bearer":
        return UnauthorizedError(sentence, response.status, is_key_sent=is_key_sent)
    return KINDS.get(response.status, RefusedError)(sentence, response.status, faults)


def _sentence(response: aiohttp.ClientResponse, body: bytes) -> tuple[str, list[Fault]]:
    try:
        refusal = _read_refusal(body)
    except MALFORMED:
        return f"The service answers {response.status} {response.reason}", []
    return refusal.error[:LONGEST_SENTENCE], refusal.details or []
