"""Orphans: objects in the store that no attachment names, or not yet.

A key is entered before its object is stored, and leaves in the transaction that writes its row; deleting or replacing a
row enters its key again, by a trigger. So an object without a row is always found here, whichever process crashed when.
"""

from collections.abc import Collection
from datetime import datetime

from kt_images.database.connection import Connection, Queryable
from kt_images.database.pool import Pool

EXPECT = """
    insert into orphans (object_key, since) select unnest(%(keys)s::text[]), coalesce(%(since)s, now())
    on conflict (object_key) do update set since = excluded.since, taken_at = null
"""

ADOPT = "delete from orphans where object_key = any(%(keys)s)"

# In one statement, and so at one moment: a key moves between the two tables in one transaction.
UNREFERENCED = """
    select key, exists (select from orphans where object_key = key) as is_entered
    from unnest(%(keys)s::text[]) as key
    where not exists (select from attachments where object_key = key)
"""

# Skips those whose rows are being written at this moment. A collector that crashed leaves what it had taken to another.
TAKE = """
    update orphans set taken_at = now()
    where object_key in (
        select object_key from orphans
        where since < now() - make_interval(secs => %(grace)s)
            and (taken_at is null or taken_at < now() - interval '10 minutes')
        limit %(limit)s
        for update skip locked
    )
    returning object_key
"""

TAKE_BATCH = """
    update orphans set taken_at = now()
    where object_key in (
        select object_key from orphans
        where since = %(since)s and taken_at is null
        limit %(limit)s
        for update skip locked
    )
    returning object_key
"""

NOW = "select now() as now"

# Not what an upload has entered again meanwhile.
FORGET = "delete from orphans where object_key = any(%(keys)s) and taken_at is not null"

# A collector needs it exclusively; backups and restores share it from start to end.
LOCK_REMOVAL = "select pg_try_advisory_xact_lock(5046820212) as locked"
PREVENT_REMOVAL = "select pg_advisory_xact_lock_shared(5046820212)"


async def expect(db: Queryable, keys: Collection[str], since: datetime | None = None) -> None:
    """Enter the keys of objects that are about to be stored, or were found without a row; as of now, or as a batch."""
    await db.query(EXPECT, {"keys": list(keys), "since": since})


async def new_batch(db: Queryable) -> datetime:
    """Return the moment, exact to a microsecond, by which keys that are entered with it can be taken together."""
    now: datetime = (await db.query(NOW))[0].now
    return now


async def adopt(connection: Connection, keys: Collection[str]) -> None:
    """Take the keys away in the transaction that writes their rows."""
    await connection.query(ADOPT, {"keys": list(keys)})


async def unreferenced(db: Queryable, keys: Collection[str]) -> dict[str, bool]:
    """Return those of the keys that no attachment names, each with whether it is entered here."""
    rows = await db.query(UNREFERENCED, {"keys": list(keys)}) if keys else []
    return {row.key: row.is_entered for row in rows}


async def take(pool: Pool, grace: float, limit: int) -> list[str]:
    """Take up to `limit` keys entered more than `grace` seconds ago; return them, for their objects to be removed.

    From now on no upload can have them. None are taken while a backup or a restore runs.
    """
    async with pool.transaction() as connection:
        if not (await connection.query(LOCK_REMOVAL))[0].locked:
            return []
        return [row.object_key for row in await connection.query(TAKE, {"grace": grace, "limit": limit})]


async def take_batch(db: Queryable, since: datetime, limit: int) -> list[str]:
    """Take up to `limit` keys of a batch, whatever their age; return them, for their objects to be removed."""
    return [row.object_key for row in await db.query(TAKE_BATCH, {"since": since, "limit": limit})]


async def forget(db: Queryable, keys: Collection[str]) -> None:
    """Delete entries that were taken, once their objects are removed."""
    await db.query(FORGET, {"keys": list(keys)})


async def prevent_removal(connection: Connection) -> None:
    """Keep all objects where they are until the end of the transaction."""
    await connection.query(PREVENT_REMOVAL)
