"""When to try again: after short pauses at first, then longer ones, up to a deadline."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kt_images.client.errors import ConnectionBrokenError, NeverReachedError, TransientError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
# If a reachable service breaks the connection this often, the cause is the request itself.
MOST_BREAKS = 5

T = TypeVar("T")


class Attempts:
    """The attempts at one step, for up to `patience` seconds from now."""

    def __init__(self, patience: float) -> None:
        self._deadline = asyncio.get_running_loop().time() + patience
        self._pause = FIRST_PAUSE
        self._breaks = 0

    async def wait(self, error: TransientError) -> None:
        """Pause before the next attempt.

        Raises `error` if another attempt is pointless: the deadline would pass, the connection broke too often, or the
        service has never been reached.
        """
        self._breaks += isinstance(error, ConnectionBrokenError)
        pause = max(error.pause, self._pause * random.uniform(0.5, 1))  # noqa: S311 (spreads clients, no secret)
        late = asyncio.get_running_loop().time() + pause > self._deadline
        if late or self._breaks >= MOST_BREAKS or isinstance(error, NeverReachedError):
            raise error
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        await asyncio.sleep(pause)


async def persist(attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """Repeat `attempt` while it raises TransientError, for up to `patience` seconds. Raises its last error."""
    attempts = Attempts(patience)
    while True:
        try:
            return await attempt()
        except TransientError as error:
            await attempts.wait(error)
