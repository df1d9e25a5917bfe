"""HTTP with the service: an answer that is no success, or no answer at all, becomes an error of `errors.py`."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Self, TypeVar

import aiohttp
from yarl import URL

from kt_images.cli.errors import (
    BrokenError,
    CliError,
    MisusedError,
    NeverReachedError,
    NotFoundError,
    StoreFullError,
    UnreachableError,
)
from kt_images.cli.retry import persist

# For a connection to be made, and for the next byte of an answer; a transfer as a whole may take as long as it takes.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
PATIENCE = 5.0  # of commands that somebody waits for; transfers have an option
LONGEST_PAUSE = 30.0  # of what a service may ask for
LONGEST_SENTENCE = 1000
# What a proxy in front of the service says when it is away, and what the service says when its database is.
AWAY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}

T = TypeVar("T")


class Connection:
    """The service at an address, which may lack the scheme; to be used with `async with`.

    Raises MisusedError for what is no address.
    """

    def __init__(self, server: str, patience: float = PATIENCE) -> None:
        self._base = _address(server)
        self._patience = patience
        self._reached = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "kt-images"},
            trust_env=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def url(self, path: str) -> URL:
        """Return the address of a path, whose names are quoted already."""
        return URL(f"{self._base}/{path}", encoded=True)

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat the attempt while that can help. Raises what the last one raised."""
        return await persist(attempt, self._patience)

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of the answer, None if it has no body; safe to be repeated only. Raises CliError."""

        async def attempt() -> Any:
            async with self.answer(method, path, **options) as response:
                return await self.read_json(response)

        return await self.persist(attempt)

    @asynccontextmanager
    async def answer(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once; give the answer if it is a success.

        Raises NotFoundError, StoreFullError, UnreachableError, NeverReachedError, BrokenError, also while the answer is
        read, and CliError in the service's own words for anything else.
        """
        try:
            async with self._session.request(method, self.url(path), **options) as response:
                self._reached = True
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise await _refusal(response)
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            sentence = f"The service at {_shown(self._base)} cannot be reached: {_reason(error)}"
            raise (UnreachableError if self._reached else NeverReachedError)(sentence) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise BrokenError(f"The connection to {_shown(self._base)} broke off") from error

    async def read_json(self, response: aiohttp.ClientResponse) -> Any:
        """Return the answer's JSON, None if it has no body. Raises CliError if it is something else."""
        body = await response.read()
        try:
            return json.loads(body) if body else None
        except ValueError:
            raise self.strange() from None

    def strange(self) -> CliError:
        """Return the error for an answer that is none of the service's."""
        return CliError(f"What answers at {_shown(self._base)} does not answer as kt-images does")


def _address(server: str) -> str:
    text = server.rstrip("/") if "://" in server else f"http://{server.rstrip('/')}"
    try:
        url = URL(text)
        if url.scheme in {"http", "https"} and url.host and not url.query_string and not url.fragment:
            return str(url).rstrip("/")
    except ValueError:
        pass
    raise MisusedError("The server's address is to look like http://localhost:8080")


def _shown(base: str) -> str:
    """The address without the password that may be in it."""
    return str(URL(base).with_user(None)).rstrip("/")


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number) if number and number > 0 else error.os_error.strerror or "no such host"
    return "no answer"


async def _refusal(response: aiohttp.ClientResponse) -> CliError:
    try:
        sentence = json.loads(await response.read())["error"][:LONGEST_SENTENCE]
    except (ValueError, LookupError, TypeError):
        sentence = f"The service answers {response.status} {response.reason}"
    match response.status:
        case HTTPStatus.NOT_FOUND:
            return NotFoundError(sentence)
        case HTTPStatus.INSUFFICIENT_STORAGE:
            return StoreFullError(sentence)
        case status if status in AWAY:
            wait = response.headers.get("Retry-After", "")
            return UnreachableError(sentence, min(float(wait), LONGEST_PAUSE) if wait.isdecimal() else 0.0)
    return CliError(sentence)
