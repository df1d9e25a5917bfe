"""One process that serves, from its start until its last request is answered."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from aiohttp import web

from kt_images.application import create_app
from kt_images.base_settings import Settings
from kt_images.errors import KtImagesError
from kt_images.http.in_flight import IN_FLIGHT
from kt_images.lifecycle import REASONS_TO_END, give_up
from kt_images.serving import greeting, sockets
from kt_images.serving.sockets import Place

logger = logging.getLogger(__name__)

# After the last request in flight: for bytes that are still on their way out.
LAST_BYTES_SECONDS = 2.0
# After these, for everything to be closed; longer if a disk or the database hangs, and that is not waited for.
CLOSING_SECONDS = 10.0
# That a connection may be idle between two requests.
KEEP_ALIVE_SECONDS = 75.0
# For clients of a process that is replaced to send one more request and learn that the connection closes. A connection
# that is closed while it is idle may break a request that is on its way.
RETIREMENT_SECONDS = 5.0
LOOK_SECONDS = 0.05


class Server:
    """Serves on any of the places, until `stop()` or `retire()`."""

    def __init__(self, settings: Settings, places: Sequence[Place]) -> None:
        self._settings, self._places = settings, places
        self._app = create_app(settings)
        self._runner = web.AppRunner(
            self._app,
            handler_cancellation=True,
            shutdown_timeout=LAST_BYTES_SECONDS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            access_log=None,
        )
        self._sites: dict[int, list[web.SockSite]] = {}  # by the number of their place
        self._end = asyncio.Event()
        self._patience = 0.0

    @property
    def is_ending(self) -> bool:
        """Whether it was told to stop."""
        return self._end.is_set()

    def stop(self) -> None:
        """Accept no more connections; end after the requests in flight, within the grace period."""
        self._end.set()

    def retire(self) -> None:
        """Stop, but give clients that keep a connection the time to learn that it closes."""
        self._patience = RETIREMENT_SECONDS
        self.stop()

    def fail(self, error: KtImagesError) -> None:
        """Stop, and have `run()` raise the error."""
        self._app[REASONS_TO_END].append(error)
        self.stop()

    async def run(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Open everything, call `when_ready`, and close it at the end.

        Raises KtImagesError if it cannot start, or must end.
        """
        try:
            await self._runner.setup()
            await when_ready()
            await self._end.wait()
            _leave_within(self._settings.grace_period + LAST_BYTES_SECONDS + CLOSING_SECONDS)
            await self.listen(())
            await self._drain()
            for reason in self._app[REASONS_TO_END]:
                raise reason
        finally:
            await self._runner.cleanup()

    async def listen(self, numbers: Collection[int]) -> None:
        """Accept connections at the places of these numbers, and at no others. Raises UnavailableError."""
        wanted = set() if self.is_ending else {*numbers}
        for number in self._sites.keys() - wanted:
            for site in self._sites.pop(number):
                await site.stop()
        for number in wanted - self._sites.keys():
            self._sites[number] = [await self._site(one.dup()) for one in self._places[number]]

    async def _site(self, listener: socket.socket) -> web.SockSite:
        site = web.SockSite(self._runner, listener)
        with sockets.explained(self._settings.host, self._settings.port):
            await site.start()
        return site

    async def _drain(self) -> None:
        """Wait until the requests in flight are answered; end those that are not within the grace period."""
        in_flight = self._app[IN_FLIGHT]
        in_flight.close_connections()
        try:
            async with asyncio.timeout(self._settings.grace_period):
                await self._farewell(time.monotonic() + self._patience)
                await in_flight.idle()
        except TimeoutError:
            logger.warning("Some requests did not finish within the grace period")
            await give_up(self._app)

    async def _farewell(self, until: float) -> None:
        server = self._runner.server
        while server and server.connections and time.monotonic() < until:  # noqa: ASYNC110 (aiohttp has no event for it)
            await asyncio.sleep(LOOK_SECONDS)


async def serve_alone(settings: Settings, places: Sequence[Place]) -> int:
    """Serve in this process until SIGINT or SIGTERM; a second one ends it at once.

    Return the status to exit with. Raises KtImagesError.
    """
    server = Server(settings, places)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _end, server)

    async def begin() -> None:
        await server.listen([0])
        greeting.greet(settings, places[0])

    await server.run(begin)
    return 0


def _end(server: Server) -> None:
    if server.is_ending:
        os._exit(1)  # the second signal: at once; stored data is safe at any moment
    server.stop()


def _leave_within(seconds: float) -> None:
    """Exit with 1 then, in case that the process has not ended by itself: a system call may hang for ever."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
