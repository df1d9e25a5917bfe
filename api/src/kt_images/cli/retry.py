"""When to try again: soon, then less and less often, and not for ever."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kt_images.cli.errors import BrokenError, PassingError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
# A connection that breaks again and again, at a service that can be reached, breaks because of what is sent.
BROKEN_AT_MOST = 5

T = TypeVar("T")


async def persist(attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """Repeat `attempt` while it raises PassingError, with growing pauses, for `patience` seconds.

    Raises the last PassingError at the end of the patience, or when the connection broke too often.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    broken = 0
    for number in itertools.count():
        try:
            return await attempt()
        except PassingError as error:
            broken += isinstance(error, BrokenError)
            pause = max(error.pause, min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) * random.uniform(0.5, 1))  # noqa: S311 (spreads clients, hides nothing)
            if broken >= BROKEN_AT_MOST or loop.time() + pause > deadline:
                raise
        await asyncio.sleep(pause)
    raise AssertionError  # itertools.count() has no end
