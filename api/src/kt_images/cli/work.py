"""A command's calls to the service: one after the other, or many at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kt_images.cli.errors import CliError, FatalError, Status
from kt_images.cli.failures import failure
from kt_images.client import ClientError

T = TypeVar("T")


@dataclass
class Tally:
    """How many items are done, and how many failed."""

    done: int = 0
    failed: int = 0
    causes: set[Status] = field(default_factory=set)  # of the failures

    def count(self, error: CliError | None) -> None:
        """Count an item, which is done unless there is an error."""
        self.done += error is None
        if error:
            self.failed += 1
            self.causes.add(error.status)

    @property
    def status(self) -> Status:
        """That of the failures if every item failed in the same way."""
        if not self.failed:
            return Status.DONE
        return Status.FAILED if self.done or len(self.causes) > 1 else min(self.causes)


def run(command: Coroutine[Any, Any, T]) -> T:
    """Run a command to its end. Raises CliError, also for errors of the client."""
    try:
        return asyncio.run(command)
    except ClientError as error:
        raise failure(error) from error


async def each(
    items: Iterable[T] | AsyncIterator[T],
    jobs: int,
    do: Callable[[T], Awaitable[None]],
    failed: Callable[[T, CliError], None],
    tally: Tally,
) -> None:
    """Call `do` with each item, for up to `jobs` at a time, and count in `tally`; call `failed` for each failure.

    Raises FatalError, which ends the others too.
    """
    rest = items if isinstance(items, AsyncIterator) else _asynchronous(items)
    turn = asyncio.Lock()  # an iterator cannot be asked by two at once

    async def worker() -> None:
        while True:
            try:
                async with turn:
                    item = await anext(rest)
            except StopAsyncIteration:
                return
            error = await _error(do(item))
            tally.count(error)
            if error:
                failed(item, error)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _error(work: Awaitable[None]) -> CliError | None:
    """Return the failure of the work, None if it succeeds. Raises FatalError."""
    try:
        await work
    except (ClientError, CliError) as error:
        found = failure(error) if isinstance(error, ClientError) else error
        if isinstance(found, FatalError):
            raise found from error
        return found
    return None


async def _asynchronous(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
