"""Many things at once: each failure is named, the others go on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from kt_images.cli.errors import CliError, FatalError, NotFoundError, Status

T = TypeVar("T")


@dataclass
class Tally:
    """How it went."""

    done: int = 0
    failed: int = 0
    not_found: int = 0  # of those that failed

    @property
    def status(self) -> Status:
        if not self.failed:
            return Status.DONE
        nothing_was_there = self.not_found == self.failed and not self.done
        return Status.NOT_FOUND if nothing_was_there else Status.FAILED


async def each(
    items: Iterable[T],
    jobs: int,
    do: Callable[[T], Awaitable[None]],
    failed: Callable[[T, CliError], None],
    tally: Tally,
) -> None:
    """Do it with each item, up to `jobs` at a time, and count in `tally`; tell `failed` what went wrong with one.

    Raises FatalError, which ends the others as well.
    """
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            try:
                await do(item)
            except FatalError:
                raise
            except CliError as error:
                tally.failed += 1
                tally.not_found += isinstance(error, NotFoundError)
                failed(item, error)
            else:
                tally.done += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
