"""Transactions whose outcome is found out: when the answer to COMMIT is lost, PostgreSQL is asked what became of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg2.errors

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import CommitInDoubtError, TooSlowError, UnavailableError

T = TypeVar("T")

PAUSE = 0.1  # seconds between two attempts

# A server that crashed, or another in its place, may give the id of a transaction that is lost to another. Its
# statistics begin anew then, which tells.
SINCE = "(select stats_reset from pg_stat_bgwriter) as since"
OWN_ID = f"select pg_current_xact_id()::text as id, {SINCE}"
STATUS = f"select pg_xact_status(%(id)s::xid8) as status, {SINCE}"


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
    if await _was_committed(pool, own, patience):
        return result
    raise UnavailableError


async def _was_committed(pool: Pool, own: Any, patience: float) -> bool:
    seen = None
    try:
        async with asyncio.timeout(patience):
            while seen is None or seen.status == "in progress":
                await asyncio.sleep(PAUSE)
                with contextlib.suppress(UnavailableError, TooSlowError):
                    (seen,) = await pool.query(STATUS, {"id": own.id})
    except psycopg2.errors.InvalidParameterValue:
        return False  # the server crashed, and no transaction has had this id since
    except TimeoutError:
        raise CommitInDoubtError from None
    if seen.status != "committed":
        return False
    if seen.since != own.since:
        raise CommitInDoubtError
    return True
