"""The connections that requests share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Self

from kt_images.database.connection import Connection, Limits, Parameters
from kt_images.errors import UnavailableError


class Pool:
    """At most `size` connections to one database.

    Waiting happens at one place only, the semaphore: a connection that hangs while it is made holds up nobody else,
    and one that is closed wakes the next who waits.
    """

    def __init__(self, dsn: str, size: int, limits: Limits) -> None:
        self._dsn, self._size, self._limits = dsn, size, limits
        self._leases = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._waiting = 0
        self._closed = False

    @property
    def is_crowded(self) -> bool:
        """Whether somebody waits for a connection."""
        return self._waiting > 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection. Raises UnavailableError when none comes free or can be made in time."""
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.acquire):
                await self._leases.acquire()
        except TimeoutError:
            raise UnavailableError("The service is busy, please try again") from None
        finally:
            self._waiting -= 1
        try:
            connection = self._usable() or await Connection.open(self._dsn, self._limits)
            try:
                yield connection
            finally:
                if connection.is_idle() and not self._closed:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            self._leases.release()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction, committed at the end. Raises as both do."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def query(self, sql: str, parameters: Parameters = None) -> list[Any]:
        """Run one statement in a transaction of its own; return its rows. Raises as `Connection.query()`."""
        async with self.connection() as connection:
            return await connection.query(sql, parameters)

    async def close(self) -> None:
        """Wait for the connections that are lent, as long as a statement may take; close all."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.statement):
                for _ in range(self._size):
                    await self._leases.acquire()
        while self._idle:
            self._idle.pop().close()

    def _usable(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle():
                return connection
            connection.close()
        return None
