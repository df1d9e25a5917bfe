"""System calls that may block, away from the event loop, and not for ever.

Reads have threads of their own: a disk that takes no more writes can still be read.
"""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from kt_images.errors import UnavailableError
from kt_images.shielding import shielded

P = ParamSpec("P")
T = TypeVar("T")

# A thread starts with the first call that needs it.
_READERS = ThreadPoolExecutor(16, thread_name_prefix="readers")
_WRITERS = ThreadPoolExecutor(16, thread_name_prefix="writers")
# Those that wait for another machine, so that none waits for a disk behind them.
_FETCHERS = ThreadPoolExecutor(32, thread_name_prefix="fetchers")
_SENDERS = ThreadPoolExecutor(16, thread_name_prefix="senders")

# What cleans up behind calls that have not returned yet; the event loop itself keeps no task alive.
_CLEANING: set[asyncio.Task[None]] = set()

# To sync what an upload wrote may take a busy disk a while; to read does not.
WRITE_SECONDS, READ_SECONDS = 60.0, 5.0
# For a server that has to be asked again.
FETCH_SECONDS = 20.0


class StuckError(UnavailableError):
    """A system call does not return. `pending` is done when it has returned after all."""

    sentence = "The store does not respond; please try again"

    def __init__(self, pending: "asyncio.Future[Any]") -> None:
        super().__init__()
        self.pending = pending


class File(io.FileIO):
    """A file that closes itself quietly, when whoever had it opened by `read()` has left meanwhile."""

    def __del__(self) -> None:
        self.close()


async def write(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the function in a writer's thread, to completion even if the caller is cancelled.

    So no descriptor is closed, and no file removed, while a thread still works on it. Raises StuckError when it takes
    longer than a disk may, and UnavailableError when no thread is free for as long.
    """
    return await shielded(_run(_WRITERS, WRITE_SECONDS, partial(function, *args, **kwargs)))


async def clean_up(function: Callable[[], object], after: "asyncio.Future[Any] | None" = None) -> None:
    """Run the function in a writer's thread, sooner or later; wait no longer for it than a disk may take.

    `after` is the call that has to return first.
    """

    async def cleaning() -> None:
        if after:
            await asyncio.wait([after])
        await asyncio.get_running_loop().run_in_executor(_WRITERS, function)

    task = asyncio.create_task(cleaning())
    _CLEANING.add(task)
    task.add_done_callback(_CLEANING.discard)
    await shielded(asyncio.wait([task], timeout=0 if after else WRITE_SECONDS))


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the function in a reader's thread. Raises as `write()`.

    A caller that is cancelled or given up does not wait: what the function then returns is dropped.
    """
    return await _run(_READERS, READ_SECONDS, partial(function, *args, **kwargs))


async def fetch(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the function, which asks another machine, in a thread for that. As `read()` otherwise."""
    return await _run(_FETCHERS, FETCH_SECONDS, partial(function, *args, **kwargs))


async def send(seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the function, which tells another machine something, in a thread for that. As `write()` otherwise."""
    return await shielded(_run(_SENDERS, seconds, partial(function, *args, **kwargs)))


async def _run(threads: Executor, seconds: float, call: Callable[[], T]) -> T:
    submitted = threads.submit(call)
    pending = asyncio.wrap_future(submitted)
    # If nobody waits any more, asyncio would log a failure as lost.
    pending.add_done_callback(lambda done: done.cancelled() or done.exception())
    done, _ = await asyncio.wait([pending], timeout=seconds)
    if done:
        return pending.result()
    if submitted.cancel():
        raise UnavailableError(StuckError.sentence)
    raise StuckError(pending)
