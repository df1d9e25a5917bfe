"""Sessions: how long their steps may take, statements, transactions, and whether a session is fit for further use."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

from psycopg2 import extensions, extras

from kt_images import errors
from kt_images.database.driver import Driver, Parameters
from kt_images.database.failures import translate
from kt_images.database.hosts import addresses
from kt_images.errors import translated_errors

# Added to the server's own limit, so that its error, the more precise one, arrives first.
ANSWER_SECONDS = 5.0
# How often a server checks whether the client of a running statement is still there.
CLIENT_CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """Seconds allowed for connecting, for borrowing a connection, for a statement and for waiting for a lock."""

    connect: float = 2
    acquire: float = 5
    statement: float = 15
    lock: float = 3

    @property
    def options(self) -> str:
        """The limits as libpq's `options`: they apply from a session's first statement on."""
        seconds = {
            "statement_timeout": self.statement,
            "lock_timeout": self.lock,
            "idle_in_transaction_session_timeout": self.statement,
            "client_connection_check_interval": CLIENT_CHECK_SECONDS,
        }
        return " ".join(f"-c {name}={value * 1000:.0f}ms" for name, value in seconds.items())


# For commands and migrations: the work may take as long as it does, but must not wait that long for a lock.
UNHURRIED = Limits(connect=10, acquire=60, statement=24 * 3600, lock=10)


class Queryable(Protocol):
    """Anything that runs single statements: a pool on any free connection, or a connection, also in a transaction."""

    async def query(self, sql: str, parameters: Parameters = None) -> list[Any]:
        """Run a statement and return its rows as named tuples."""


class Connection:
    """A session, in autocommit unless inside `transaction()`; one statement at a time."""

    def __init__(self, driver: Driver, limits: Limits) -> None:
        self._driver = driver
        self._answer_seconds = limits.statement + ANSWER_SECONDS

    @classmethod
    async def open(cls, dsn: str, limits: Limits) -> Self:
        """Connect to the first host in `dsn` that answers and has the wanted session attributes.

        The time limit applies to each address separately. Options in the DSN override the limits. Raises
        UnavailableError.
        """
        failure = errors.UnavailableError()
        async for parameters in addresses(dsn):
            try:
                return cls(await _connected(parameters, limits), limits)
            except errors.UnavailableError as error:
                failure = error
        raise failure

    async def query(self, sql: str, parameters: Parameters = None) -> list[Any]:
        """Run a statement and return its rows as named tuples; an empty list for a statement without a result.

        Raises TooSlowError, UnavailableError, DiskFullError, SchemaError, or psycopg2's own error where the statement
        is at fault.
        """
        self.send(sql, parameters, extras.NamedTupleCursor)
        try:
            return await self.receive()
        except errors.ReadOnlyError:
            self.close()  # the server is no longer the primary: the next connection finds the one that is
            raise

    def send(self, sql: str, parameters: Parameters = None, rows: Any = extensions.cursor) -> None:
        """Send a statement; the server works on it until `receive()` collects its rows."""
        with translated_errors(translate):
            self._driver.send(sql, parameters, rows)

    async def receive(self) -> list[Any]:
        """Return the rows of the statement sent, as plain tuples by default. Raises as `query()` does."""
        with translated_errors(translate):
            return await self._driver.receive(self._answer_seconds)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit at the end, roll back on any failure.

        Raises CommitInDoubtError when the connection broke before COMMIT was answered.
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
        """Return whether the session takes another statement: it is open, and not in the middle of one."""
        return self._driver.is_sound()

    def is_idle(self) -> bool:
        """Return whether the session can serve somebody else: sound, outside a transaction, its server still there."""
        return self._driver.is_idle()

    def close(self) -> None:
        """End the session, and with an error whatever still waits for its answer."""
        self._driver.close()


async def _connected(address: dict[str, str], limits: Limits) -> Driver:
    parameters = {"fallback_application_name": "kt-images", **address, "client_encoding": "utf8"}
    parameters["options"] = f"{limits.options} {parameters.get('options', '')}"
    with translated_errors(translate):
        return await Driver.connect(parameters, limits.connect)
