"""A body of lines, read as it arrives: bounded memory, however long a line is."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from kt_images.errors import InvalidRequestError, StalledError
from kt_images.http.multipart import UNREADABLE


class Lines:
    """The lines of a request's body, those of more than `longest` bytes as None.

    Iterate over it for the lines that have arrived, a list each time: empty when nothing came for a `moment` (seconds).
    Raises StalledError when nothing comes for `patience` seconds, InvalidRequestError when the body breaks off.
    """

    def __init__(self, request: web.Request, longest: int, moment: float, patience: float) -> None:
        self._source = request.content
        self._longest, self._moment, self._patience = longest, moment, patience
        self._rest = b""  # of a line that has not ended yet
        self._is_too_long = False

    async def __aiter__(self) -> AsyncIterator[list[bytes | None]]:
        silent = 0.0
        while True:
            try:
                async with asyncio.timeout(self._moment):
                    received = await self._source.readany()
            except TimeoutError:
                silent += self._moment
                if silent >= self._patience:
                    raise StalledError from None
                yield []
                continue
            except UNREADABLE:
                raise InvalidRequestError("The body breaks off") from None
            if not received:
                break
            silent = 0.0
            yield self._split(received)
        if self._rest or self._is_too_long:
            yield self._split(b"\n")

    def _split(self, received: bytes) -> list[bytes | None]:
        first, *others = received.split(b"\n")
        self._rest += first
        if len(self._rest) > self._longest:
            self._is_too_long, self._rest = True, b""
        if not others:
            return []
        lines = [None if self._is_too_long else self._rest]
        *whole, self._rest = others
        self._is_too_long = False
        lines += [line if len(line) <= self._longest else None for line in whole]
        return lines
