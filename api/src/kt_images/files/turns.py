"""A fair queue for a scarce resource: each kind of work has a bounded queue, and the queues take turns."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from kt_images.errors import UnavailableError


class Turns:
    """`size` places, and queues by name that take turns at them; each queue holds at most `waiting`."""

    def __init__(self, size: int, waiting: int) -> None:
        self.size, self._free, self._waiting = size, size, waiting
        self._queues: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, queue: str, places: int = 1) -> AsyncIterator[None]:
        """Wait for so many places and occupy them meanwhile. Raises UnavailableError when the queue is full.

        A caller that is cancelled while it waits leaves the queue.
        """
        await self._enter(queue, places)
        try:
            yield
        finally:
            self._leave(places)

    async def _enter(self, name: str, places: int) -> None:
        queue = self._queues.setdefault(name, deque())
        if len(queue) >= self._waiting:
            raise UnavailableError("The service is busy with other pictures; please try again")
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append((places, ticket))
        self._admit()
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.cancelled():
                with contextlib.suppress(ValueError):  # passed over already
                    queue.remove((places, ticket))
                self._admit()  # the next in the queue may need fewer places
            else:
                self._leave(places)
            raise

    def _leave(self, places: int) -> None:
        self._free += places
        self._admit()

    def _admit(self) -> None:
        """Give free places to the queues in turn; whoever needs more than are free makes the others wait."""
        while waiting := [name for name, queue in self._queues.items() if queue]:
            queue = self._queues[waiting[0]]
            places, ticket = queue[0]
            if places > self._free:
                return
            queue.popleft()
            self._queues[waiting[0]] = self._queues.pop(waiting[0])  # to the end: the others come first next time
            if not ticket.cancelled():
                self._free -= places
                ticket.set_result(None)
