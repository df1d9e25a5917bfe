"""Orphans: objects in the store that no attachment names, or not yet.

A key is entered before its object is stored, and leaves in the transaction that writes its row; deleting or replacing a
row enters its key again, by a trigger. So an object without a row is always found here, whichever process crashed when.
"""

from collections.abc import Collection
from datetime import datetime

from kt_images.database.connection import Connection, Queryable
from kt_images.database.pool import Pool
from kt_images.database.stores import IS_CURRENT
from kt_images.errors import StoreMovedError

EXPECT = f"""
    insert into orphans (object_key, since)
    select unnest(%(keys)s::text[]), coalesce(%(since)s, now())
    where {IS_CURRENT}
    on conflict (object_key) do update set since = excluded.since, taken_at = null
    returning object_key
"""

ADOPT = "delete from orphans where object_key = any(%(keys)s)"

# In one statement, and so at one moment: a key moves between the two tables in one transaction.
UNREFERENCED = """
    select key, exists (select from orphans where object_key = key) as is_entered
    from unnest(%(keys)s::text[]) as key
    where not exists (select from attachments where object_key = key)
"""

# Skips those whose rows are being written at this moment. A collector that crashed leaves what it had taken to another.
TAKE = f"""
    update orphans set taken_at = now()
    where object_key in (
        select object_key from orphans
        where since < now() - make_interval(secs => %(grace)s)
            and (taken_at is null or taken_at < now() - interval '10 minutes')
            and {IS_CURRENT}
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

# Not what an upload has entered again meanwhile, nor what was taken out of a store whose files were moved since.
FORGET = "delete from orphans where object_key = any(%(keys)s) and taken_at > '-infinity'"

# When files have been moved to another store, from that moment on: no upload into the store before gets its row, and
# what collectors have taken out of that one they forget no more. The collectors of the new store find all of it.
HAND_OVER = "update orphans set taken_at = '-infinity'"

# No insertion, deletion or change but one's own until the end of the transaction.
FREEZE = "lock table orphans in share row exclusive mode"

# A collector needs it exclusively, as does the end of a move; backups and restores share it from start to end.
LOCK_REMOVAL = "select pg_try_advisory_xact_lock(5046820212) as locked"
PREVENT_REMOVAL = "select pg_advisory_xact_lock_shared(5046820212)"


async def expect(
    db: Queryable, keys: Collection[str], since: datetime | None = None, store_id: str | None = None
) -> None:
    """Enter the keys of objects that are about to be stored, or were found without a row; as of now, or as a batch.

    Raises StoreMovedError when the store of that id is not the database's any more.
    """
    entered = await db.query(EXPECT, {"keys": list(keys), "since": since, "store_id": store_id})
    if keys and not entered:
        raise StoreMovedError


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


async def take(pool: Pool, grace: float, limit: int, store_id: str | None = None) -> list[str]:
    """Take up to `limit` keys entered more than `grace` seconds ago; return them, for their objects to be removed.

    From now on no upload can have them. None are taken while a backup or a restore runs, and none for a store that is
    not the database's any more.
    """
    async with pool.transaction() as connection:
        if not await lock_removal(connection):
            return []
        taken = await connection.query(TAKE, {"grace": grace, "limit": limit, "store_id": store_id})
        return [row.object_key for row in taken]


async def take_batch(db: Queryable, since: datetime, limit: int) -> list[str]:
    """Take up to `limit` keys of a batch, whatever their age; return them, for their objects to be removed."""
    return [row.object_key for row in await db.query(TAKE_BATCH, {"since": since, "limit": limit})]


async def forget(db: Queryable, keys: Collection[str]) -> None:
    """Delete entries that were taken, once their objects are removed."""
    await db.query(FORGET, {"keys": list(keys)})


async def prevent_removal(connection: Connection) -> None:
    """Keep all objects where they are until the end of the transaction."""
    await connection.query(PREVENT_REMOVAL)


async def lock_removal(connection: Connection) -> bool:
    """Keep backups, restores and collectors from beginning until the end of the transaction; False if one runs."""
    locked: bool = (await connection.query(LOCK_REMOVAL))[0].locked
    return locked


async def freeze(connection: Connection) -> None:
    """Let no upload, replacement or deletion be committed until the end of the transaction; waits for those begun."""
    await connection.query(FREEZE)


async def hand_over(connection: Connection) -> None:
    """Leave all entries to the collectors of the store that the files were moved to; no upload has them any more."""
    await connection.query(HAND_OVER)
