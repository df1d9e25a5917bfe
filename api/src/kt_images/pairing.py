"""A database and a store of files belong together, from the first start on."""

from kt_images.database import stores
from kt_images.database.pool import Pool
from kt_images.files.store import Store


async def pair(pool: Pool, store: Store) -> None:
    """Enter the store that the database knows; a database that knows none takes this one.

    Raises OtherStoreError, SchemaError, UnavailableError.
    """
    if (known := await stores.known(pool)) is None:
        await stores.remember(pool, store.claim())
        known = await stores.known(pool)
    store.enter(known or "")
