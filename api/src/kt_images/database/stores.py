"""Which store belongs to the database."""

from kt_images.database.connection import Queryable
from kt_images.errors import StoreMovedError

SELECT = "select store_id from store"

# When two processes start at once, the first one wins.
INSERT = "insert into store (store_id) values (%(store_id)s) on conflict do nothing"


# Part of statements that must not be carried out for a store whose files were moved to another. Without an id: for any.
IS_CURRENT = "(%(store_id)s::text is null or exists (select from store where store_id = %(store_id)s))"

CHECK = f"select {IS_CURRENT} as is_current"


async def check(db: Queryable, store_id: str | None) -> None:
    """Raise StoreMovedError when the files were moved from this store to another."""
    if not (await db.query(CHECK, {"store_id": store_id}))[0].is_current:
        raise StoreMovedError


async def known(db: Queryable) -> str | None:
    """Return the id of the store that belongs to the database; None before the first start."""
    rows = await db.query(SELECT)
    return rows[0].store_id if rows else None


async def remember(db: Queryable, store_id: str) -> None:
    """Note that this store belongs to the database, unless one does already."""
    await db.query(INSERT, {"store_id": store_id})
