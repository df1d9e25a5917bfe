"""A database and a store belong together, from the first start on."""

from kt_images.database import stores
from kt_images.database.connection import Queryable
from kt_images.files.store import Store


async def pair(db: Queryable, store: Store) -> None:
    """Enter the store that the database knows; a database that knows none adopts this one.

    Raises OtherStoreError, SchemaError, UnavailableError.
    """
    if (known := await stores.known(db)) is None:
        await stores.remember(db, await store.claim())
        known = await stores.known(db)
    await store.enter(known or "")
