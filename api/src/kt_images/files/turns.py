"""A fair queue for a scarce resource: kinds of work take turns, and within each kind those who ask for it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from kt_images.errors import UnavailableError

# A kind of work, and who asks for it.
Queue = tuple[str, str]
Ticket = tuple[int, asyncio.Future[None]]


class Turns:
    """`size` places, and queues that take turns at them; those of one kind hold at most `waiting` altogether."""

    def __init__(self, size: int, waiting: int) -> None:
        self.size, self._free, self._waiting = size, size, waiting
        # Whoever comes first is served next, and goes to the end. There are no empty queues.
        self._kinds: dict[str, dict[str, deque[Ticket]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, queue: Queue, places: int = 1) -> AsyncIterator[None]:
        """Wait for so many places and occupy them meanwhile. Raises UnavailableError when too many wait.

        A caller that is cancelled while it waits leaves the queue.
        """
        await self._enter(queue, places)
        try:
            yield
        finally:
            self._leave(places)

    async def _enter(self, queue: Queue, places: int) -> None:
        kind, who = queue
        if sum(map(len, self._kinds.get(kind, {}).values())) >= self._waiting:
            raise UnavailableError("The service is busy with other pictures; please try again")
        ticket: Ticket = (places, asyncio.get_running_loop().create_future())
        self._kinds.setdefault(kind, {}).setdefault(who, deque()).append(ticket)
        self._admit()
        try:
            await ticket[1]
        except asyncio.CancelledError:
            if ticket[1].cancelled():
                self._remove(queue, ticket)
                self._admit()  # the next in the queue may need fewer places
            else:
                self._leave(places)
            raise

    def _leave(self, places: int) -> None:
        self._free += places
        self._admit()

    def _admit(self) -> None:
        """Give free places to the queues in turn; whoever needs more than are free makes the others wait."""
        while ticket := self._next():
            places, admitted = ticket
            if not admitted.cancelled():
                if places > self._free:
                    return
                self._free -= places
                admitted.set_result(None)
            self._move_on()

    def _next(self) -> Ticket | None:
        """Return whose turn it is."""
        queues = next(iter(self._kinds.values()), None)
        return next(iter(queues.values()))[0] if queues else None

    def _move_on(self) -> None:
        """Take the one out whose turn it is, and move its queue and its kind to the end."""
        kind, queues = next(iter(self._kinds.items()))
        who, tickets = next(iter(queues.items()))
        self._kinds[kind] = self._kinds.pop(kind)
        queues[who] = queues.pop(who)
        self._remove((kind, who), tickets[0])

    def _remove(self, queue: Queue, ticket: Ticket) -> None:
        kind, who = queue
        tickets = self._kinds.get(kind, {}).get(who, deque())
        if ticket in tickets:  # not passed over already
            tickets.remove(ticket)
            if not tickets:
                del self._kinds[kind][who]
            if not self._kinds[kind]:
                del self._kinds[kind]
