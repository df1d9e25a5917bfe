"""How far a replica is behind its primary."""

from kt_images.database.connection import Queryable

# A primary that changes nothing sends nothing: then a replica that has applied all of it is not behind, however old it
# is. One whose stream is broken has applied all that it has received, too, and is behind all the same.
LAG = """
    select case
        when not pg_is_in_recovery() then null
        when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
            and exists(select from pg_stat_wal_receiver) then 0
        else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())
    end::float8 as seconds
"""


async def lag(db: Queryable) -> float | None:
    """Return the seconds since the last change that was applied, 0 if none is missing; None of a primary."""
    (found,) = await db.query(LAG)
    return None if found.seconds is None else float(found.seconds)
