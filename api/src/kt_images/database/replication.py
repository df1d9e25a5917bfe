"""How far the replicas are behind the primary."""

import asyncio
import time

from kt_images.database.connection import Queryable

POSITION = """
    select (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)::text as position
"""

# The time of the last transaction alone says nothing: after an idle hour a replica that has everything is an hour old.
PROGRESS = """
    select pg_is_in_recovery() as is_standby,
        pg_last_wal_replay_lsn() >= %(position)s::pg_lsn as has_everything,
        extract(epoch from now() - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))::float8 as age
"""

# For what was written just now to arrive.
MOMENT_SECONDS = 0.3
LOOK_SECONDS = 0.02


async def lag(primary: Queryable, replica: Queryable, tolerated: float) -> float | None:
    """Return how many seconds the replica is behind the primary, None if `replica` leads to the primary itself.

    More than `tolerated` is returned only if it is still so a moment later. Raises as `Queryable.query()` does.
    """
    position = (await primary.query(POSITION))[0].position
    until = time.monotonic() + MOMENT_SECONDS
    while True:
        (found,) = await replica.query(PROGRESS, {"position": position})
        if not found.is_standby:
            return None
        if found.has_everything:
            return 0.0
        if found.age <= tolerated or time.monotonic() > until:
            return float(found.age)
        await asyncio.sleep(LOOK_SECONDS)
