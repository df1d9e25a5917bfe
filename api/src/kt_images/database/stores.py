"""Which store belongs to the database."""

from kt_images.database.connection import Queryable

SELECT = "select store_id from store"

# When two processes start at once, the first one wins.
INSERT = "insert into store (store_id) values (%(store_id)s) on conflict do nothing"


async def known(db: Queryable) -> str | None:
    """Return the id of the store that belongs to the database; None before the first start."""
    rows = await db.query(SELECT)
    return rows[0].store_id if rows else None


async def remember(db: Queryable, store_id: str) -> None:
    """Note that this store belongs to the database, unless one does already."""
    await db.query(INSERT, {"store_id": store_id})
