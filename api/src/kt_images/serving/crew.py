"""The workers of a supervisor: each place has its own, and while it has none, another worker serves it too."""

import asyncio
import logging
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

from kt_images.serving.child import Child, Failure

logger = logging.getLogger(__name__)

# A worker that has lived for so long was sound. Where one ended sooner, the next is started after a pause, which
# doubles as long as that goes on.
SOUND_SECONDS = 30.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0


class Crew:
    """So many workers, started by `begin`.

    One that is told to end is killed when it has not ended after `patience` seconds. A failure that no worker would be
    spared is told to `when_failed`, the process id of one that has ended to `when_ended`.
    """

    def __init__(
        self,
        number: int,
        begin: Callable[[], Awaitable[Child]],
        patience: float,
        when_failed: Callable[[Failure], None],
        when_ended: Callable[[int], None],
    ) -> None:
        self._places, self._begin, self._patience = range(number), begin, patience
        self._when_failed, self._when_ended = when_failed, when_ended
        self._serving: dict[int, Child] = {}  # by the number of their place
        self._alive: set[Child] = set()  # with those that start and those that retire
        self._locks = [asyncio.Lock() for _ in self._places]  # held by whoever starts a worker there
        self._unsound: Counter[int] = Counter()  # workers in a row that ended soon, at each place
        self._watching: set[asyncio.Task[None]] = set()

    async def start(self) -> Failure | None:
        """Start all workers, and keep that many running; return why that fails."""
        return next(filter(None, await asyncio.gather(*map(self._fill, self._places))), None)

    async def replace(self) -> Failure | None:
        """Replace the workers one by one: a new one serves, then the old one retires; a new one that fails ends it."""
        for place in self._places:
            async with self._locks[place]:
                old = self._serving.get(place)
                if failure := await self._fill(place):
                    return failure
            if old:
                old.retire()
                await _ended([old], self._patience)
        return None

    def kill(self) -> None:
        """End all workers at once."""
        for child in self._alive:
            child.send(signal.SIGKILL)

    async def stop(self) -> bool:
        """End all workers after their requests in flight; return whether all ended by themselves."""
        for watching in self._watching:
            watching.cancel()
        for child in self._alive:
            child.send(signal.SIGTERM)
        return not self._alive or await _ended(self._alive, self._patience)

    async def _fill(self, place: int) -> Failure | None:
        """Start a worker for the place, which serves it from then on; or return why that fails."""
        try:
            child = await self._begin()
        except OSError as error:
            return Failure(f"A worker process cannot be started: {error.strerror}")
        self._alive.add(child)
        watching = asyncio.create_task(self._watch(place, child))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        if not await child.ready():
            status = await child.ended()
            return child.failure or Failure(f"A worker process ended with status {status} before it could serve")
        self._serving[place] = child
        self._assign()
        return None

    async def _watch(self, place: int, child: Child) -> None:
        """Wait for the end of a worker; start another unless it was meant to end, or never served."""
        status = await child.ended()
        self._alive.discard(child)
        self._when_ended(child.pid)
        if self._serving.get(place) is child:
            del self._serving[place]
            self._assign()
            if child.failure and child.failure.is_final:
                self._when_failed(child.failure)
            else:
                logger.warning("A worker process ended with status %d; another is started", status)
                is_sound = time.monotonic() - child.since > SOUND_SECONDS
                self._unsound[place] = 0 if is_sound else self._unsound[place] + 1
                await self._refill(place)

    async def _refill(self, place: int) -> None:
        """Start workers for the place until one can serve."""
        async with self._locks[place]:
            while place not in self._serving:
                await asyncio.sleep(self._pause(place))
                if failure := await self._fill(place):
                    if failure.is_final:
                        self._when_failed(failure)
                        break
                    logger.error("A worker cannot start: %s", failure.sentence)
                    self._unsound[place] += 1

    def _pause(self, place: int) -> float:
        doublings = self._unsound[place] - 1
        return min(FIRST_PAUSE_SECONDS * 2**doublings, LONGEST_PAUSE_SECONDS) if doublings >= 0 else 0

    def _assign(self) -> None:
        """Have each worker serve its own place, and one of them each place that has none."""
        ready = [self._serving[place] for place in sorted(self._serving)]
        serving = [self._serving.get(place, ready[place % len(ready)]) for place in self._places] if ready else []
        for child in ready:
            child.listen([place for place, who in enumerate(serving) if who is child])


async def _ended(children: Collection[Child], seconds: float) -> bool:
    """Wait so long for workers to end, then kill them; return whether all ended well."""
    ending = {asyncio.create_task(child.ended()): child for child in children}
    _, late = await asyncio.wait(ending, timeout=seconds)
    for task in late:
        logger.warning("A worker process did not end in time and is killed")
        ending[task].send(signal.SIGKILL)
    return not {*await asyncio.gather(*ending)} - {0, -signal.SIGTERM}
