"""HTTP: a call's answer, read within bounds, or an error of `errors.py`."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote
from urllib.request import getproxies

import aiohttp
from msgspec import Struct
from msgspec.json import Decoder
from yarl import URL

from kt_images.client.errors import (
    ClientError,
    ConnectionBrokenError,
    Fault,
    InvalidAddressError,
    NeverReachedError,
    NotFoundError,
    RefusedError,
    StoreFullError,
    UnexpectedAnswerError,
    UnreachableError,
)
from kt_images.client.images import MALFORMED
from kt_images.client.retry import persist

# For a connection to be made, and for the next bytes of an answer; a transfer as a whole may take as long as it needs.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
LONGEST_PAUSE = 30.0  # seconds that a service may ask a client to wait
# In bytes. 10,000 attachments are 5 MB of JSON.
LARGEST_ANSWER = 32 * 2**20
LARGEST_REFUSAL = 2**16
LONGEST_SENTENCE = 1000
# How a proxy answers when the service is down, and how the service does when its database is.
UNAVAILABLE = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}

# How aiohttp and the system say that a connection has broken.
BROKEN = (aiohttp.ClientError, TimeoutError, ConnectionError)

T = TypeVar("T")


class _Refusal(Struct):
    error: str
    details: list[Fault] | None = None


_read_refusal = Decoder(_Refusal).decode


class Connection:
    """The service at an address, which may lack `http://`; to be used with `async with`.

    A call is tried again for up to `patience` seconds. Raises InvalidAddressError.
    """

    def __init__(self, server: str, patience: float) -> None:
        self._base = _base(server)
        self.patience = patience
        self._reached = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "kt-images"},
            trust_env=_has_proxies() or _has_netrc(),
        )
        # aiohttp would repeat some requests by itself, and nobody would know that a DELETE was sent twice.
        self._session._retry_connection = False  # noqa: SLF001 (there is no public way)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def url(self, path: str) -> URL:
        """Return the URL of a path whose names are quoted already."""
        return URL(f"{self._base}/{path}", encoded=True)

    async def repeat(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat the attempt while it raises TransientError and the patience lasts. Raises its last error."""
        return await persist(attempt, self.patience)

    async def call(
        self, method: str, path: str, read: Callable[[bytes], T], *, repeatable: bool = True, **options: Any
    ) -> T:
        """Return what `read` makes of the answer's JSON; it raises MALFORMED for anything else.

        A call that is not repeatable is sent once: its answer may be lost although it succeeded.
        """

        async def attempt() -> T:
            async with self.answer(method, path, **options) as response:
                return await self.read(response, read)

        return await (self.repeat(attempt) if repeatable else attempt())

    async def delete(self, path: str) -> None:
        """Delete what is at the path. Raises NotFoundError, unless an attempt whose answer was lost has deleted it."""
        attempts = 0

        async def attempt() -> None:
            nonlocal attempts
            attempts += 1
            try:
                async with self.answer("DELETE", path):
                    pass
            except NotFoundError:
                if attempts == 1:
                    raise

        await self.repeat(attempt)

    @asynccontextmanager
    async def answer(
        self, method: str, path: str, *, follow: bool = False, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once and give the answer of a success; with `follow`, that of where redirects lead.

        Raises NotFoundError, StoreFullError, RefusedError, UnexpectedAnswerError, UnreachableError, and
        ConnectionBrokenError, also while the answer is being read.
        """
        try:
            async with self._session.request(method, self.url(path), allow_redirects=follow, **options) as response:
                self._reached = True
                if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                    raise await self._refusal(response)
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            sentence = f"The service at {self} cannot be reached: {_reason(error)}"
            raise (UnreachableError if self._reached else NeverReachedError)(sentence) from error
        except BROKEN as error:
            raise ConnectionBrokenError(f"The connection to {self} broke") from error

    async def read(self, response: aiohttp.ClientResponse, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of the answer's JSON. Raises UnexpectedAnswerError."""
        body = await self.body(response, LARGEST_ANSWER)
        try:
            return read(body)
        except MALFORMED:
            raise self.unexpected() from None

    async def body(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        """Return the answer's body. Raises UnexpectedAnswerError if it has more than `limit` bytes."""
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise UnexpectedAnswerError(f"The answer of {self} is larger than {limit:,} bytes")
        return bytes(body)

    def unexpected(self) -> UnexpectedAnswerError:
        """Return the error for an answer that kt-images does not give."""
        return UnexpectedAnswerError(f"{self} does not answer like kt-images; is the address right?")

    def __str__(self) -> str:
        """The address, without the password that may be in it."""
        return str(URL(self._base).with_user(None)).rstrip("/")

    async def _refusal(self, response: aiohttp.ClientResponse) -> ClientError:
        if response.status < HTTPStatus.BAD_REQUEST:
            target = response.headers.get("Location", "nowhere")[:LONGEST_SENTENCE]
            return UnexpectedAnswerError(f"{self} redirects to {target}; use the address of the service itself")
        sentence, faults = _sentence(response, await self.body(response, LARGEST_REFUSAL))
        match response.status:
            case HTTPStatus.NOT_FOUND:
                return NotFoundError(sentence, response.status)
            case HTTPStatus.INSUFFICIENT_STORAGE:
                return StoreFullError(sentence, response.status)
            case status if status in UNAVAILABLE:
                wait = response.headers.get("Retry-After", "")
                return UnreachableError(sentence, min(float(wait), LONGEST_PAUSE) if wait.isdecimal() else 0.0)
        return RefusedError(sentence, response.status, faults)


def quoted(name: str) -> str:
    """Return a name as one segment of a URL's path. Raises ClientError for a name that UTF-8 cannot encode."""
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise ClientError(f"The name {name!r} is malformed: it cannot be part of a URL") from error


def _base(server: str) -> str:
    text = server.rstrip("/") if "://" in server else f"http://{server.rstrip('/')}"
    try:
        url = URL(text)
        if url.scheme in {"http", "https"} and url.host and not url.query_string and not url.fragment:
            return str(url).rstrip("/")
    except ValueError:
        pass
    raise InvalidAddressError("The address of the service must look like http://localhost:8080")


def _has_proxies() -> bool:
    return bool(getproxies())


def _has_netrc() -> bool:
    """Whether there may be a .netrc. aiohttp looks for proxies and for this file in two threads for each request."""
    try:
        return "NETRC" in os.environ or (Path.home() / ("_netrc" if os.name == "nt" else ".netrc")).exists()
    except RuntimeError:  # there is no home
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number) if number and number > 0 else error.os_error.strerror or "no such host"
    return "no answer"


def _sentence(response: aiohttp.ClientResponse, body: bytes) -> tuple[str, list[Fault]]:
    try:
        refusal = _read_refusal(body)
    except MALFORMED:
        return f"The service answers {response.status} {response.reason}", []
    return refusal.error[:LONGEST_SENTENCE], refusal.details or []
