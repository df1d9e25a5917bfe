"""A database and a store belong together, from the first start on."""

from kt_images.database import stores
from kt_images.database.connection import Queryable
from kt_images.files.store import Store


async def pair(db: Queryable, store: Store) -> None:
    """Open the store registered in the database; a database without one adopts this store.

    Raises OtherStoreError, SchemaError, UnavailableError.
    """
    if (known := await stores.known(db)) is None:
        await stores.remember(db, await store.claim())
        known = await stores.known(db)
    await store.enter(known or "")


async def is_anothers(db: Queryable, store: Store) -> bool:
    """Return whether this database, which has no store yet, would adopt one that holds files: another database's.

    Two databases that share a store take each other's files for orphans. Raises UnavailableError.
    """
    if await stores.known(db) is not None or await store.identity() is None:
        return False
    async for step in store.walk():
        if step:
            return True
    return False
