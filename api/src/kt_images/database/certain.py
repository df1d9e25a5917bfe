"""Transactions whose outcome is found out: when the answer to COMMIT is lost, PostgreSQL is asked what became of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import CommitInDoubtError, TooSlowError, UnavailableError

T = TypeVar("T")

PAUSE = 0.1  # seconds between two attempts

OWN_ID = "select pg_current_xact_id()::text as id"
STATUS = "select pg_xact_status(%(id)s::xid8) as status"


async def transaction(pool: Pool, work: Callable[[Connection], Awaitable[T]], patience: float) -> T:
    """Do the work in a transaction; return what it returns, committed for certain.

    Raises UnavailableError when nothing of it is committed, CommitInDoubtError when nobody can tell for `patience`
    seconds, and whatever `work` raises.
    """
    async with pool.connection() as connection:
        try:
            async with connection.transaction():
                (own,) = await connection.query(OWN_ID)
                result = await work(connection)
        except CommitInDoubtError:
            pass
        else:
            return result
    if await _was_committed(pool, own.id, patience):
        return result
    raise UnavailableError


async def _was_committed(pool: Pool, transaction_id: str, patience: float) -> bool:
    try:
        async with asyncio.timeout(patience):
            while True:
                with contextlib.suppress(UnavailableError, TooSlowError):
                    (seen,) = await pool.query(STATUS, {"id": transaction_id})
                    if seen.status != "in progress":
                        return bool(seen.status == "committed")
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise CommitInDoubtError from None
