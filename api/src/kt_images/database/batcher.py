"""Batcher: requests that wait for the database at the same time share one statement.

Theory of operation
-------------------
A request that finds a turn free takes it and runs its statement at once, alone. While the turns are taken, requests
queue; whoever gives a turn back starts one statement for as many of them as it may hold, oldest first. So nobody waits
in the hope of company, and the more requests there are, the more of them a statement answers.

A statement begins after every request that it answers: each of them sees what was committed before it came.

A turn ends with its statement, or after a moment if the statement is held up, by a lock or a server that is gone: what
queues then goes on to the next connection. How long it may wait there is the pool's matter.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from kt_images.errors import KtImagesError

Request = TypeVar("Request")
Answer = TypeVar("Answer")

# Requests, each with the future for its outcome.
Batch = list[tuple[Request, asyncio.Future[Answer | Exception]]]

# Statements that run at a time. While the server works on one, others gather for the next; two are smaller and slower.
TURNS = 1
# Requests that one statement answers at most.
MOST = 64
# Seconds after which a statement is held up. Most take about a millisecond.
HELD_UP = 0.05


class Batcher(Generic[Request, Answer]):
    """Shares what `run` does: one statement for several requests, which returns the answer to each, in their order.

    When `run` fails because of the database, all of its requests fail. When the statement itself is at fault, they are
    tried again in halves, until only those fail that are to blame: so such a statement must leave nothing behind.
    """

    def __init__(self, run: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]]) -> None:
        self._run = run
        self._queue: deque[tuple[Request, asyncio.Future[Answer | Exception]]] = deque()
        self._turns: set[_Turn] = set()

    async def ask(self, request: Request) -> Answer:
        """Return the answer to one request. Raises what `run` raises for it.

        Whoever is cancelled meanwhile takes nobody else's answer away.
        """
        if len(self._turns) < TURNS:
            turn = self._begin()
            try:
                return (await self._run([request]))[0]
            finally:
                self._end(turn)
        outcome: asyncio.Future[Answer | Exception] = asyncio.get_running_loop().create_future()
        self._queue.append((request, outcome))
        answer = await outcome
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)  # several share it
        return answer

    def _begin(self) -> "_Turn":
        """Take a turn, which ends by itself when its statement is held up."""
        turn = _Turn()
        turn.limit = asyncio.get_running_loop().call_later(HELD_UP, self._end, turn)
        self._turns.add(turn)
        return turn

    def _end(self, turn: "_Turn") -> None:
        """Give a turn back, once or again, and let those who wait have it."""
        turn.limit.cancel()
        self._turns.discard(turn)
        while self._queue and len(self._turns) < TURNS:
            taken = [self._queue.popleft() for _ in range(min(MOST, len(self._queue)))]
            turn = self._begin()
            # For several requests: its lines in the log are of none of them.
            turn.task = asyncio.create_task(self._answer_in(turn, taken), context=Context())

    async def _answer_in(self, turn: "_Turn", batch: Batch[Request, Answer]) -> None:
        try:
            await self._answer(batch)
        finally:
            self._end(turn)

    async def _answer(self, batch: Batch[Request, Answer]) -> None:
        batch = [one for one in batch if not one[1].done()]  # the others were cancelled
        if not batch:
            return
        answers: Sequence[Answer | Exception]
        try:
            answers = await self._run([request for request, _ in batch])
        except Exception as error:  # noqa: BLE001 (whatever it is, each request raises it)
            if len(batch) > 1 and not isinstance(error, KtImagesError):
                half = len(batch) // 2
                await self._answer(batch[:half])
                await self._answer(batch[half:])
                return
            answers = [error] * len(batch)
        for (_, outcome), answer in zip(batch, answers, strict=True):
            if not outcome.done():
                outcome.set_result(answer)


class _Turn:
    """One statement at work, or several in a row when it fails."""

    limit: asyncio.TimerHandle
    task: asyncio.Task[None] | None = None  # kept here, as the event loop does not keep it
