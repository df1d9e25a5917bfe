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
from aiohttp.helpers import get_env_proxy_for_url
from yarl import URL

from kt_images.client import addresses, keys
from kt_images.client.errors import (
    ClientError,
    ConnectionBrokenError,
    InvalidAddressError,
    NeverReachedError,
    NotFoundError,
    UnexpectedAnswerError,
    UnreachableError,
)
from kt_images.client.images import MALFORMED
from kt_images.client.refusals import LONGEST_SENTENCE, error_of
from kt_images.client.retry import persist

# For a connection to be made, and for the next bytes of an answer; a transfer as a whole may take as long as it needs.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
# In bytes. 10,000 attachments are 5 MB of JSON.
LARGEST_ANSWER = 32 * 2**20
LARGEST_REFUSAL = 2**16

# How aiohttp and the system say that a connection has broken.
BROKEN = (aiohttp.ClientError, TimeoutError, ConnectionError)

T = TypeVar("T")


class Connection:
    """The service at an address, which may lack `http://`; to be used with `async with`.

    A call is tried again for up to `patience` seconds. `key` goes with each request, and is left out where a redirect
    leads to another origin. Raises InvalidAddressError, InvalidKeyError.
    """

    def __init__(self, server: str, patience: float, key: str | None = None) -> None:
        self._base = addresses.parse(server)
        if key is not None:
            keys.key_id(key)
            if self._base.user is not None:
                raise InvalidAddressError("A key cannot be sent beside the name in the address: leave out one of them")
        self.patience = patience
        self._key = key
        self._reached = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            **self._access(),
        )
        # aiohttp would repeat some requests by itself, and nobody would know that a DELETE was sent twice.
        self._session._retry_connection = False  # noqa: SLF001 (there is no public way)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def _access(self) -> dict[str, Any]:
        headers = {"User-Agent": "kt-images"}
        if self._key is None:
            return {"headers": headers, "trust_env": _has_proxies() or _has_netrc()}
        # With `trust_env`, aiohttp would look for a password in .netrc too, and refuse to send it beside the key.
        try:
            proxy, proxy_auth = get_env_proxy_for_url(self._base)
        except LookupError:
            proxy, proxy_auth = None, None
        headers["Authorization"] = f"Bearer {self._key}"
        return {"headers": headers, "proxy": proxy, "proxy_auth": proxy_auth}

    def url(self, path: str) -> URL:
        """Return the URL of a path whose names are quoted already."""
        return URL(f"{str(self._base).rstrip('/')}/{path}", encoded=True)

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
        return addresses.shown(self._base)

    async def _refusal(self, response: aiohttp.ClientResponse) -> ClientError:
        if response.status < HTTPStatus.BAD_REQUEST:
            target = response.headers.get("Location", "nowhere")[:LONGEST_SENTENCE]
            return UnexpectedAnswerError(f"{self} redirects to {target}; use the address of the service itself")
        body = await self.body(response, LARGEST_REFUSAL)
        return error_of(response, body, is_key_sent=self._key is not None)


def quoted(name: str) -> str:
    """Return a name as one segment of a URL's path. Raises ClientError for a name that UTF-8 cannot encode."""
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise ClientError(f"The name {name!r} is malformed: it cannot be part of a URL") from error


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
