"""`python3 -m kt_images`: serve until SIGINT or SIGTERM."""

import asyncio
import errno
import logging
import os
import resource
import signal
import sys
import threading

from aiohttp import web
from uvloop import new_event_loop
from yarl import URL

from kt_images import logs
from kt_images.application import create_app
from kt_images.base_settings import Settings, read_settings
from kt_images.database.failures import explained
from kt_images.errors import KtImagesError, UnavailableError
from kt_images.http.in_flight import IN_FLIGHT
from kt_images.lifecycle import REASONS_TO_END, give_up

# After the last request in flight: for bytes that are still on their way out.
LAST_BYTES_SECONDS = 2.0
# After these, for everything to be closed; longer if a disk or the database hangs, and that is not waited for.
CLOSING_SECONDS = 10.0
# That a connection may be idle between two requests.
KEEP_ALIVE_SECONDS = 75.0

# Each client, database session and open file is one; what the system gives by default is soon used up.
DESCRIPTORS = 65536


def main() -> None:
    """Serve; exit with 0 after a signal to stop, with 1 and a sentence if the service cannot start."""
    settings = read_settings()
    logs.begin(settings.access_log)
    _raise_limit_of_descriptors()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(settings))
    except KtImagesError as error:
        logs.say(f"kt-images cannot start: {explained(error)}", sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then let the requests in flight finish within the grace period."""
    app = create_app(settings)
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        shutdown_timeout=LAST_BYTES_SECONDS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        access_log=None,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _end, stop)
    try:
        await runner.setup()
        site = await _listen(runner, settings.host, settings.port)
        _greet(runner.addresses[0], settings)
        await stop.wait()
        _leave_within(settings.grace_period + LAST_BYTES_SECONDS + CLOSING_SECONDS)
        await site.stop()
        try:
            async with asyncio.timeout(settings.grace_period):
                await app[IN_FLIGHT].idle()
        except TimeoutError:
            logging.getLogger(__name__).warning("Some requests did not finish within the grace period")
            await give_up(app)
        for reason in app[REASONS_TO_END]:
            raise reason
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> web.TCPSite:
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sentence = f"Port {port} is in use; choose another with --port or KT_IMAGES_PORT"
            raise UnavailableError(sentence) from None
        raise UnavailableError(f"{host}:{port} is not available; choose another --host or --port") from error
    return site


def _raise_limit_of_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _end(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(1)  # the second signal: at once; stored data is safe at any moment
    stop.set()


def _leave_within(seconds: float) -> None:
    """Exit with 1 then, in case that the process has not ended by itself: a system call may hang for ever."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _greet(address: tuple[str, int], settings: Settings) -> None:
    host = "localhost" if address[0] in {"0.0.0.0", "::"} else address[0]  # noqa: S104 (shown, not bound)
    url = str(URL.build(scheme="http", host=host, port=address[1]))
    places = f"image files are in {settings.uploads_dir.resolve()}"
    if not settings.postgres_dsn:
        places = f"database is in {settings.database_dir.resolve()}, the {places}"
    example = """-H 'Content-Type: application/json' -d '{"filename": "example.jpg", "tags": ["canon"]}'"""
    logs.say(f"kt-images serves on {url}; {url}/oas documents the API. Press Ctrl-C to stop.")
    logs.say(f"The {places}. Try:\n  curl {url}/images {example}")


if __name__ == "__main__":
    main()
