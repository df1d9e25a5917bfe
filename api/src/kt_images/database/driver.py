"""A session with PostgreSQL as the event loop sees it. The only module that imports aiopg.

aiopg begins the session and holds it, libpq speaks the protocol, and this module does the waiting. aiopg's own (1.4)

- watches the socket it connected with first, while libpq changes sockets from one address to the next: such a connect
  hangs (aio-libs/aiopg issue 647);
- calls select(), which fails on descriptors above 1023;
- reports a statement timeout as `asyncio.CancelledError`, which no error handler sees;
- watches idle sessions too: one whose server is gone keeps the event loop spinning.

Theory of operation
-------------------

    CONNECTING ------> IDLE ---send()---> SENT ---receive()---> WAITING
        |               ^                                        |   |
        |               +---------------- answered --------------+   |
        |                                                            |
        +----> CLOSED <---- broken, too late, caller cancelled ------+        close() leads to CLOSED from every state

CONNECTING, WAITING   The caller awaits the future `_done`. libpq is asked to `poll()`: it does what it can without
                      blocking, and says whether it needs to read or to write next. `_watch` waits for that,
                      `_step` asks again, and the last step settles the future.
SENT                  The server works, nobody waits, nothing is watched; the answer stays in the socket.
IDLE                  Nobody waits, nothing is watched. Anything to read now means that the server is going away.
CLOSED                Final. Whoever gives up waiting closes the session: a late answer must not reach the next caller.

psycopg2 knows which state it is: `closed`, `isexecuting()` (CONNECTING, SENT, WAITING) and neither of them (IDLE).

The event loop watches a selector of ours, from the beginning to the end, and libpq's socket is in that selector only
while somebody waits. The loop must not watch libpq's socket itself, nor a duplicate of it, for two reasons. libpq may
close its socket inside any `poll()`, and whatever is opened next gets the same number: the loop would confuse the two.
And uvloop stops watching a socket that has an error pending, as after a server crashed (libuv reports EBADF, once); but
libpq first reads the server's last words and asks to be called again, so that the caller would wait until the time
limit. A selector's descriptor is ours to close, and never has an error.
"""

import asyncio
import select
import selectors
from collections.abc import Sequence
from typing import Any, Self

import aiopg
import psycopg2
from psycopg2 import extensions

Parameters = dict[str, Any] | Sequence[Any] | None

EVENTS = {extensions.POLL_READ: selectors.EVENT_READ, extensions.POLL_WRITE: selectors.EVENT_WRITE}


class Driver:
    """One session, one statement at a time. Its methods raise psycopg2's errors."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        """Begin to connect; `connect()` does all of it."""
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._cursor: Any = None
        self._is_closed = False
        self._selector = selectors.DefaultSelector()
        self._watched: tuple[int, int] | None = None  # a descriptor and what it is watched for
        self._silence: select.poll | None = None  # for a look at the idle socket; there once it is connected
        try:
            # Kept, as it reports a session that nobody closed. Its timeout is for the waiting that is done here.
            self._session = aiopg.Connection(
                None, 0, enable_json=False, enable_hstore=False, enable_uuid=False, **parameters
            )
        except BaseException:
            self._selector.close()
            raise
        self._libpq = self._session.raw
        self._loop.remove_reader(self._libpq.fileno())  # aiopg's own watching ends before it began
        self._loop.add_reader(self._selector.fileno(), self._step)

    @classmethod
    async def connect(cls, parameters: dict[str, str], seconds: float) -> Self:
        """Connect with libpq's `parameters`, within so many seconds."""
        driver = cls(parameters)
        try:
            await driver._finish(seconds)
        except BaseException:
            driver.close()  # also when cancelled at the very moment at which it is connected
            raise
        driver._silence = select.poll()
        driver._silence.register(driver._libpq.fileno(), select.POLLIN)
        return driver

    def send(self, sql: str, parameters: Parameters, rows: Any) -> None:
        """Send a statement whose rows the cursor class `rows` will make."""
        self._cursor = self._libpq.cursor(cursor_factory=rows)
        self._cursor.execute(sql, parameters)

    async def receive(self, seconds: float) -> list[Any]:
        """Return the rows of the statement sent, an empty list if it has no result; wait so many seconds at most."""
        await self._finish(seconds)
        return self._cursor.fetchall() if self._cursor.description else []

    def is_sound(self) -> bool:
        """Return whether a statement may be sent."""
        return not self._libpq.closed and not self._libpq.isexecuting()

    def is_idle(self) -> bool:
        """Return whether the session is sound, outside a transaction, and not being ended by its server."""
        if not self.is_sound() or self._libpq.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            return False
        return self._silence is not None and not self._silence.poll(0)

    def close(self) -> None:
        """End the session; whoever waits for it gets an error. May be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._selector.fileno())
            self._settle(psycopg2.OperationalError("The session was closed"))
        self._selector.close()
        self._libpq.close()

    async def _finish(self, seconds: float) -> None:
        """Wait until libpq has finished what it was asked to do."""
        self._done = self._loop.create_future()
        limit = self._loop.call_later(seconds, self._settle, psycopg2.OperationalError("No answer from the server"))
        try:
            self._step()
            await self._done
        finally:
            limit.cancel()
            self._unwatch()
            if self._libpq.isexecuting():
                self.close()

    def _step(self) -> None:
        """Let libpq do what it can do now."""
        try:
            state = self._libpq.poll()
        except psycopg2.Error as error:
            self._settle(error)
            return
        if state == extensions.POLL_OK:
            self._settle()
        else:
            self._watch(EVENTS[state])

    def _settle(self, error: Exception | None = None) -> None:
        if self._done.done():
            return
        if error:
            self._done.set_exception(error)
        else:
            self._done.set_result(None)

    def _watch(self, event: int) -> None:
        wanted = (self._libpq.fileno(), event)
        # Until it is connected, the same number may be another socket by now.
        if self._watched == wanted and self._silence:
            return
        self._unwatch()
        self._selector.register(*wanted)
        self._watched = wanted

    def _unwatch(self) -> None:
        if self._watched and not self._is_closed:
            self._selector.unregister(self._watched[0])
        self._watched = None
