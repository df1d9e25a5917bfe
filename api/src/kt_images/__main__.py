"""`python3 -m kt_images`: serve until told to stop."""

import asyncio
import logging
import os
import signal
import sys

from aiohttp import web
from uvloop import new_event_loop
from yarl import URL

from kt_images.application import create_app
from kt_images.base_settings import Settings, read_settings
from kt_images.database.meanings import explained
from kt_images.errors import KtImagesError, UnavailableError
from kt_images.http.in_flight import IN_FLIGHT
from kt_images.lifecycle import FAILURES

# Once nothing is in flight any more: for answers that are still on their way out.
LAST_BYTES_SECONDS = 2.0


def main() -> None:
    """Serve; exit with 0 when told to stop, with 1 and a sentence when the service cannot start."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = read_settings()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(settings))
    except KtImagesError as error:
        sys.exit(f"kt-images cannot start: {explained(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then let the requests in flight finish within the grace period."""
    app = create_app(settings)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=LAST_BYTES_SECONDS, access_log=None)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _end, stop)
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            place = f"{settings.host}:{settings.port}"
            raise UnavailableError(f"Nothing can listen on {place}; --port and --host choose another") from error
        _greet(runner.addresses[0])
        await stop.wait()
        await site.stop()
        try:
            async with asyncio.timeout(settings.grace_period):
                await app[IN_FLIGHT].idle()
        except TimeoutError:
            logging.getLogger(__name__).warning("Some requests were not finished in time")
        for failure in app[FAILURES]:
            raise failure
    finally:
        await runner.cleanup()


def _end(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(1)  # told twice: at once; what is stored is safe at any moment
    stop.set()


def _greet(address: tuple[str, int]) -> None:
    host = "localhost" if address[0] in {"0.0.0.0", "::"} else address[0]  # noqa: S104 (shown, not bound)
    url = str(URL.build(scheme="http", host=host, port=address[1]))
    example = """-H 'Content-Type: application/json' -d '{"filename": "example.jpg", "tags": ["canon"]}'"""
    print(f"kt-images serves on {url}; {url}/oas explains it, Ctrl-C stops it. Try:")
    print(f"  curl {url}/images {example}", flush=True)


if __name__ == "__main__":
    main()
