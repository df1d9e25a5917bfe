"""The requests that are being answered, so that a stopping service can wait for them."""

import asyncio

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler


class InFlight:
    """Counts requests in its `middleware`."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closes = False

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._count += 1
        self._idle.clear()
        try:
            return await handler(request)
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def on_response_prepare(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Say that the connection closes, as a signal of the application."""
        if self._closes:
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"

    def close_connections(self) -> None:
        """Close each connection after its next answer: else a busy client would keep one that never is idle."""
        self._closes = True

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        await self._idle.wait()


IN_FLIGHT = web.AppKey("in_flight", InFlight)
