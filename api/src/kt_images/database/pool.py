"""A pool: the connections that requests share."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakKeyDictionary

from kt_images import metrics
from kt_images.database.connection import Connection, Limits
from kt_images.database.driver import Parameters
from kt_images.database.failures import reason
from kt_images.errors import UnavailableError
from kt_images.presence import Presence

# How long a connection to the fallback is used before the preferred server is tried again.
FALLBACK_SECONDS = 10.0


@dataclass(frozen=True)
class Watch:
    """By which `name` a pool is known to the metrics, and what to tell when its servers can be reached or cannot."""

    name: str
    preferred: Presence
    fallback: Presence | None = None


class Pool:
    """At most `size` connections to one database.

    All waiting happens at one semaphore, outside the list of connections: a connection attempt that hangs delays nobody
    else, and a connection that is closed frees its place as one that is returned does.
    """

    def __init__(self, dsn: str, size: int, limits: Limits, fallback: str = "", watch: Watch | None = None) -> None:
        """`fallback` is the DSN to use while `dsn` is unreachable. A service has its pools watched."""
        self._dsn, self._fallback, self._size, self._limits, self._watch = dsn, fallback, size, limits, watch
        name = watch.name if watch else "command"
        metrics.POOL_SIZE.labels(name).set(size)
        self._lent, self._waiters = metrics.POOL_LENT.labels(name), metrics.POOL_WAITING.labels(name)
        self._wait_seconds, self._timeouts = metrics.POOL_WAIT_SECONDS.labels(name), metrics.POOL_TIMEOUTS.labels(name)
        self._leases = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._fallen_back: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()  # when each was opened
        self._waiting = 0
        self._closed = False

    @property
    def is_crowded(self) -> bool:
        """Whether somebody is waiting for a connection."""
        return self._waiting > 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection. Raises UnavailableError if none becomes free, or none can be opened, in time."""
        await self._wait()
        self._lent.inc()
        try:
            connection = self._usable() or await self._open()
            if self._watch and connection not in self._fallen_back:
                self._watch.preferred.met()
            try:
                yield connection
            finally:
                if self._is_usable(connection) and not self._closed:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            self._lent.dec()
            self._leases.release()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction, committed at the end.

        Raises as `connection()` and `Connection.transaction()` do.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def query(self, sql: str, parameters: Parameters = None) -> list[Any]:
        """Run one statement in a transaction of its own; return its rows. Raises as `Connection.query()` does."""
        async with self.connection() as connection:
            return await connection.query(sql, parameters)

    async def close(self) -> None:
        """Wait for the connections on loan, but no longer than a statement may take; then close all."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.statement):
                for _ in range(self._size):
                    await self._leases.acquire()
        while self._idle:
            self._idle.pop().close()

    async def _wait(self) -> None:
        if not self._leases.locked():
            await self._leases.acquire()  # returns at once
            return
        self._waiting += 1
        self._waiters.inc()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.acquire):
                await self._leases.acquire()
        except TimeoutError:
            self._timeouts.inc()
            raise UnavailableError("The service is busy; please try again") from None
        finally:
            self._waiting -= 1
            self._waiters.dec()
            self._wait_seconds.observe(time.monotonic() - started)

    def _usable(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if self._is_usable(connection):
                return connection
            connection.close()
        return None

    def _is_usable(self, connection: Connection) -> bool:
        """Return whether the connection can be lent again; one to the fallback only for a while."""
        since = self._fallen_back.get(connection)
        return connection.is_idle() and (since is None or time.monotonic() - since < FALLBACK_SECONDS)

    async def _open(self) -> Connection:
        try:
            return await self._connected(self._dsn, self._watch.preferred if self._watch else None)
        except UnavailableError:
            if not self._fallback:
                raise
        connection = await self._connected(self._fallback, self._watch.fallback if self._watch else None)
        self._fallen_back[connection] = time.monotonic()
        return connection

    async def _connected(self, dsn: str, presence: Presence | None) -> Connection:
        try:
            return await Connection.open(dsn, self._limits)
        except UnavailableError as error:
            if presence:
                presence.missed(reason(error) or "no address answers")
            raise
