"""The parent of several workers: it keeps them running, replaces them on SIGHUP, and ends them and itself on SIGTERM.

It owns what there is once: the embedded database, the listening sockets and the signals. It serves nothing itself.
"""

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from kt_images import exposition
from kt_images.background import meanwhile
from kt_images.base_settings import Settings
from kt_images.database.provided import provided
from kt_images.errors import UnavailableError
from kt_images.serving import greeting
from kt_images.serving.child import Child, Failure
from kt_images.serving.crew import Crew
from kt_images.serving.server import CLOSING_SECONDS, LAST_BYTES_SECONDS
from kt_images.serving.sockets import Place
from kt_images.shares import share

logger = logging.getLogger(__name__)

# A worker ends itself by the end of its grace period and these; afterwards it is killed.
LAST_SECONDS = LAST_BYTES_SECONDS + CLOSING_SECONDS + 2.0

LEAST_MEMORY = 64 * 2**20  # that the setting decode_memory may have


def settings_of_worker(settings: Settings, dsn: str) -> Settings:
    """Return the settings of one of several workers: all have the same limits together as one process would."""
    counts = ("pool_size", "stream_pool_size", "max_streams", "max_uploads", "max_downloads")
    shares = {name: share(getattr(settings, name), settings.workers) for name in counts}
    memory = share(settings.decode_memory, settings.workers, LEAST_MEMORY)
    return settings.model_copy(update={"postgres_dsn": dsn, "decode_memory": memory, **shares})


async def supervise(settings: Settings, places: Sequence[Place]) -> int:
    """Serve by a worker for each place until SIGINT or SIGTERM; a second one ends all at once.

    Return the status to exit with. Raises UnavailableError.
    """
    supervisor = Supervisor()
    with tempfile.TemporaryDirectory(prefix="kt-images-") as metrics:
        async with provided(settings) as dsn:
            begin = partial(
                Child.start, settings_of_worker(settings, dsn), places, os.environ | {exposition.FOLDER: metrics}
            )
            patience, forget = settings.grace_period + LAST_SECONDS, partial(exposition.forget, Path(metrics))
            crew = Crew(len(places), begin, patience, supervisor.fail, forget)
            return await supervisor.run(crew, partial(greeting.greet, settings, places[0]))


class Supervisor:
    """Obeys signals from the moment it is made."""

    def __init__(self) -> None:
        self._end, self._replacement = asyncio.Event(), asyncio.Event()
        self._crew: Crew | None = None
        self._failure: Failure | None = None
        self._has_terminal = os.isatty(0)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    async def run(self, crew: Crew, when_ready: Callable[[], None]) -> int:
        """Keep the crew running until the end; return the status to exit with. Raises UnavailableError."""
        self._crew = crew
        async with meanwhile(self._lead(crew, when_ready)):
            await self._end.wait()
        is_clean = await crew.stop()
        if self._failure:
            raise UnavailableError(self._failure.sentence)
        return 0 if is_clean else 1

    def fail(self, failure: Failure) -> None:
        """End the service for this reason, unless there is one."""
        self._failure = self._failure or failure
        self._end.set()

    async def _lead(self, crew: Crew, when_ready: Callable[[], None]) -> None:
        if failure := await crew.start():
            self.fail(failure)
            return
        when_ready()
        while await self._replacement.wait():
            self._replacement.clear()
            if failure := await crew.replace():
                logger.error("The workers are not replaced: %s", failure.sentence)

    def _stop(self) -> None:
        if self._end.is_set():
            if self._crew:
                self._crew.kill()
            os._exit(1)  # the second signal: at once; stored data is safe at any moment
        self._end.set()

    def _hang_up(self) -> None:
        if self._has_terminal and not os.isatty(0):
            self._end.set()  # the signal says that the terminal was closed
        self._replacement.set()
