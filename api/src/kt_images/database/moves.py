"""A move of all files to another store, as the database sees it: what is to be copied, and the moment of the switch.

While files are copied, uploads go on into the store before. A trigger enters the key of each row written since in a
table; what is entered is copied again and again, until little is left. Then, in one transaction, no upload can be
committed, the rest is copied, and the other store becomes the database's.
"""

from collections.abc import Collection, Sequence

import psycopg2.errors

from kt_images.database import attachments, orphans
from kt_images.database.connection import Connection, Queryable
from kt_images.errors import InvalidRequestError, StoreMovedError, UnavailableError
from kt_images.models.attachments import Attachment

# Held by whoever moves files; the number means nothing but this.
ALONE = "select pg_try_advisory_xact_lock(5046820214) as locked"

KNOWN = "select place from known_stores where store_id = %(store_id)s"

REMEMBER = """
    insert into known_stores (store_id, place) values (%(store_id)s, %(place)s)
    on conflict (store_id) do update set place = excluded.place
"""

# Waits for all who are writing rows: what they write is there once the trigger is, and what comes after is entered.
WATCH = """
    drop trigger if exists attachments_moving on attachments;
    create trigger attachments_moving after insert or update of object_key on attachments
        for each row execute function remember_moving()
"""

UNWATCH = "drop trigger if exists attachments_moving on attachments"

EMPTY = "truncate moving"

COUNT = "select count(*) as files, coalesce(sum(size), 0)::bigint as bytes from attachments"

PAGE = f"""
    select {attachments.COLUMNS} from attachments
    where object_key > %(after)s
    order by object_key
    limit %(limit)s
"""

# Those whose rows are gone again have no row to be copied for.
NEW = f"""
    select entered.object_key as entered, {", ".join(f"attachments.{name}" for name in attachments.COLUMNS.split(", "))}
    from (select object_key from moving limit %(limit)s) as entered
    left join attachments on attachments.object_key = entered.object_key
"""

COPIED = "delete from moving where object_key = any(%(keys)s)"

SWITCH = "update store set store_id = %(new)s where store_id = %(old)s returning store_id"

# Others wait for whoever waits for this lock: a service's statement should not have to wait too long.
PATIENCE = "set local lock_timeout = '2s'"


async def begin_alone(connection: Connection) -> None:
    """Keep others from moving files until the end of the transaction. Raises UnavailableError when somebody does."""
    if not (await connection.query(ALONE))[0].locked:
        raise UnavailableError("The files are being moved already, by another process")


async def place(db: Queryable, store_id: str) -> str | None:
    """Return where the store was, as the command was given it; None for one that no files were moved from or to."""
    rows = await db.query(KNOWN, {"store_id": store_id})
    return rows[0].place if rows else None


async def remember(db: Queryable, store_id: str, where: str) -> None:
    """Note that files are moved from or to the store."""
    await db.query(REMEMBER, {"store_id": store_id, "place": where})


async def watch(db: Queryable) -> None:
    """Have the keys of new rows entered from now on. Raises InvalidRequestError unless the role owns the tables."""
    try:
        await db.query(WATCH)
    except psycopg2.errors.InsufficientPrivilege:
        raise InvalidRequestError("Move files as the role that owns the tables, the one that created them") from None


async def unwatch(db: Queryable) -> None:
    """Have keys entered no more, and forget those that are."""
    await db.query(UNWATCH)
    await db.query(EMPTY)


async def count(db: Queryable) -> tuple[int, int]:
    """Return how many files there are, and their bytes."""
    row = (await db.query(COUNT))[0]
    return row.files, row.bytes


async def page(db: Queryable, after: str, limit: int) -> list[Attachment]:
    """Return rows by their keys, those after that key, up to `limit`."""
    return [Attachment.model_validate(row) for row in await db.query(PAGE, {"after": after, "limit": limit})]


async def new(db: Queryable, limit: int) -> tuple[Sequence[str], list[Attachment]]:
    """Return up to `limit` keys that were entered, and the rows that still have one of them."""
    rows = await db.query(NEW, {"limit": limit})
    return [row.entered for row in rows], [Attachment.model_validate(row) for row in rows if row.object_key]


async def copied(db: Queryable, keys: Collection[str]) -> None:
    """Note that what has these keys is copied, or has no row any more."""
    await db.query(COPIED, {"keys": list(keys)})


async def freeze(connection: Connection) -> bool:
    """Let nothing be written until the end of the transaction; False while a backup, restore or collector runs.

    Raises UnavailableError when writers do not come to an end within two seconds.
    """
    await connection.query(PATIENCE)
    if not await orphans.lock_removal(connection):
        return False
    await orphans.freeze(connection)
    return True


async def switch(connection: Connection, old: str, new: str) -> None:
    """Make the new store the database's at the end of the transaction, in which all is frozen.

    Raises StoreMovedError when the old one is not the database's any more.
    """
    await orphans.hand_over(connection)
    if not await connection.query(SWITCH, {"old": old, "new": new}):
        raise StoreMovedError
