"""Which store of files belongs to the database."""

from kt_images.database.pool import Pool

SELECT = "select store_id from store"

# Of two processes that start at once the first one's is kept.
INSERT = "insert into store (store_id) values (%(store_id)s) on conflict do nothing"


async def known(pool: Pool) -> str | None:
    """Return the id of the store that belongs to the database; None before there was one."""
    rows = await pool.query(SELECT)
    return rows[0].store_id if rows else None


async def remember(pool: Pool, store_id: str) -> None:
    """Have this store belong to the database, unless there is one already."""
    await pool.query(INSERT, {"store_id": store_id})
