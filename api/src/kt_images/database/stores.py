"""Which store of files belongs to the database."""

from kt_images.database.connection import Queryable

SELECT = "select store_id from store"

# Of two processes that start at once the first one's is kept.
INSERT = "insert into store (store_id) values (%(store_id)s) on conflict do nothing"


async def known(db: Queryable) -> str | None:
    """Return the id of the store that belongs to the database; None before there was one."""
    rows = await db.query(SELECT)
    return rows[0].store_id if rows else None


async def remember(db: Queryable, store_id: str) -> None:
    """Have this store belong to the database, unless there is one already."""
    await db.query(INSERT, {"store_id": store_id})
