"""One connection to PostgreSQL: connecting, running a statement, telling what went wrong.

The only module that imports aiopg. Three things of aiopg 1.4 are replaced here, each for its own reason:

- It watches the socket it first connected with. libpq changes sockets while it tries addresses and hosts, and the
  connect then hangs (aio-libs/aiopg issue 647). It also calls select(), which fails on descriptors above 1023.
- It turns a statement timeout into `asyncio.CancelledError`, which no error handler sees.
- It listens on idle connections too: one whose server is gone keeps the event loop spinning.
"""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import aiopg
import psycopg2
from psycopg2 import extensions, extras

from kt_images import errors
from kt_images.database.hosts import addresses
from kt_images.database.meanings import meaning

Parameters = dict[str, Any] | Sequence[Any] | None

# Added to the server's own limit, so that its answer, the better one, comes first.
ANSWER_SECONDS = 5.0
# A server looks this often whether the client of a running statement has gone.
CLIENT_CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """Seconds that things may take: to connect, to get a connection lent, to run a statement, to wait for a lock."""

    connect: float = 2
    acquire: float = 5
    statement: float = 15
    lock: float = 3

    @property
    def options(self) -> str:
        """The limits as libpq's `options`: they hold from a session's first statement on."""
        seconds = {
            "statement_timeout": self.statement,
            "lock_timeout": self.lock,
            "idle_in_transaction_session_timeout": self.statement,
            "client_connection_check_interval": CLIENT_CHECK_SECONDS,
        }
        return " ".join(f"-c {name}={value * 1000:.0f}ms" for name, value in seconds.items())


class Queryable(Protocol):
    """What runs single statements: a pool, on whichever connection is free, or one connection, as in a transaction."""

    async def query(self, sql: str, parameters: Parameters = None) -> list[Any]:
        """Run a statement and return its rows as named tuples."""


class Connection(aiopg.Connection):
    """A session, in autocommit unless inside `transaction()`; one statement at a time."""

    @classmethod
    async def open(cls, dsn: str, limits: Limits) -> Self:
        """Connect to the first of the hosts that `dsn` names which answers and is what it asks for.

        Each address gets the time limit for itself. The DSN's own `options` win over the limits'. Raises
        UnavailableError.
        """
        failure = errors.UnavailableError()
        async for parameters in addresses(dsn):
            try:
                return await cls._open(parameters, limits)
            except errors.UnavailableError as error:
                failure = error
        raise failure

    @classmethod
    async def _open(cls, parameters: dict[str, str], limits: Limits) -> Self:
        parameters = {"fallback_application_name": "kt-images", **parameters, "client_encoding": "utf8"}
        parameters["options"] = f"{limits.options} {parameters.get('options', '')}"
        with meaning():
            connection = cls(
                None, limits.connect, enable_json=False, enable_hstore=False, enable_uuid=False, **parameters
            )
            try:
                await connection
            except BaseException:
                connection.close()
                raise
        connection._timeout = limits.statement + ANSWER_SECONDS
        return connection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop.remove_reader(self._conn.fileno())
        self._fileno = None  # aiopg keeps its hands off the loop from here on
        self._settled = False
        self._watched: tuple[int, bool] | None = None
        self._asked: Any = None

    async def query(self, sql: str, parameters: Parameters = None) -> list[Any]:
        """Run a statement and return its rows as named tuples; none for a statement that has no result.

        Raises TooSlowError, UnavailableError, SchemaError, or psycopg2's own error where the statement is at fault.
        """
        self.send(sql, parameters, extras.NamedTupleCursor)
        try:
            return await self.receive()
        except errors.ReadOnlyError:
            self.close()  # the server is not the primary any more: the next connection finds the one that is
            raise

    def send(self, sql: str, parameters: Parameters = None, rows: Any = extensions.cursor) -> None:
        """Send a statement; the server works on it until `receive()` asks for its rows."""
        self._create_waiter("send")
        self._asked = self._conn.cursor(cursor_factory=rows)
        try:
            with meaning():
                self._asked.execute(sql, parameters)
        except BaseException:
            self._waiter = None
            raise

    async def receive(self) -> list[Any]:
        """Return the rows of the statement sent, as plain tuples unless asked otherwise. Raises as `query()` does."""
        with meaning():
            await self._poll(self._waiter, self._timeout)
            rows: list[Any] = self._asked.fetchall() if self._asked.description else []
        return rows

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit at the end, roll back on any failure.

        Raises CommitInDoubtError when the connection broke while COMMIT was on its way.
        """
        await self.query("begin")
        try:
            yield
        except BaseException:
            if self.is_sound():
                await self.query("rollback")
            raise
        try:
            await self.query("commit")
        except errors.UnavailableError as error:
            raise errors.CommitInDoubtError from error

    def is_sound(self) -> bool:
        """Tell whether the session may be used again: open, and not in the middle of a statement."""
        return not self.closed and not self.isexecuting()

    def is_idle(self) -> bool:
        """Tell whether the session may serve somebody else: sound, outside a transaction, its server not gone."""
        if not self.is_sound() or self.raw.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            return False
        return not self._silence.poll(0)

    def _close(self) -> None:
        self._waiter = None  # nobody waits on aiopg's future: `_poll` has its own
        super()._close()

    async def _connect(self) -> Self:
        """Finish connecting. Overrides aiopg's, which needs the reader that is not there any more."""
        await self._poll(self._waiter, self._timeout)
        self._settled = True
        # A server has nothing to say to an idle session, except that it is going.
        self._silence = select.poll()
        self._silence.register(self._conn.fileno(), select.POLLIN)
        return self

    async def _poll(self, _waiter: Any, timeout: float) -> None:  # noqa: ASYNC109 (aiopg's signature)
        """Wait until libpq is done, on whichever socket it uses by then. Overrides aiopg's."""
        done = self._loop.create_future()
        limit = self._loop.call_later(timeout, _give_up, done)
        try:
            self._step(done)
            await done
        finally:
            limit.cancel()
            self._unwatch()
            self._waiter = None
            if self.isexecuting():
                self.close()  # given up: what the server may still answer must reach nobody else

    def _step(self, done: asyncio.Future[None]) -> None:
        """Let libpq do what it can do now, and again when its socket is ready for more."""
        if done.done():
            return
        try:
            state = self._conn.poll()
        except psycopg2.Error as error:
            done.set_exception(error)
            return
        if state == extensions.POLL_OK:
            done.set_result(None)
        else:
            self._watch(self._conn.fileno(), state == extensions.POLL_WRITE, done)

    def _watch(self, descriptor: int, writable: bool, done: asyncio.Future[None]) -> None:
        # While it connects, the same number may be another socket by now.
        if self._watched == (descriptor, writable) and self._settled:
            return
        self._unwatch()
        add = self._loop.add_writer if writable else self._loop.add_reader
        add(descriptor, self._step, done)
        self._watched = descriptor, writable

    def _unwatch(self) -> None:
        if self._watched:
            descriptor, writable = self._watched
            remove = self._loop.remove_writer if writable else self._loop.remove_reader
            remove(descriptor)
            self._watched = None


def _give_up(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_exception(psycopg2.OperationalError("No answer from the server"))
