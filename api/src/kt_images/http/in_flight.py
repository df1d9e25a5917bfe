"""The requests that are being answered, so that a stopping service can wait for them."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler


class InFlight:
    """Counts requests in its `middleware`."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

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

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        await self._idle.wait()


IN_FLIGHT = web.AppKey("in_flight", InFlight)
