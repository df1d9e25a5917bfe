"""A database and a store belong together, from the first start on."""

import shlex

from kt_images.base_settings import variable
from kt_images.database import moves, stores
from kt_images.database.connection import Queryable
from kt_images.errors import KtImagesError, OtherStoreError
from kt_images.files.place import Place
from kt_images.files.store import Store

MOVED = "The files were moved from here to {place}; start the service with {setting}"
ELSEWHERE = (
    "This is not the store of this database: it is empty or another one, for example because a disk is not mounted. "
    "The files are in {place}; start the service with {setting}"
)


async def pair(db: Queryable, store: Store) -> None:
    """Open the store registered in the database; a database without one adopts this store.

    Raises OtherStoreError, SchemaError, UnavailableError.
    """
    if (known := await stores.known(db)) is None:
        await stores.remember(db, await store.claim())
        known = await stores.known(db)
    await enter(db, store, known or "")


async def enter(db: Queryable, store: Store, store_id: str) -> None:
    """Open the store, which has to be the one of that id. Raises OtherStoreError, which says where that one is."""
    try:
        await store.enter(store_id)
    except OtherStoreError as error:
        if (place := await _place(db, store_id)) is None:
            raise
        found = await store.identity()
        was_here = found is not None and await _place(db, found) is not None
        setting = f"{variable('store')}={shlex.quote(place)}"
        if Place.parse(place):
            setting += ", the bucket's other settings and its credentials"
        sentence = (MOVED if was_here else ELSEWHERE).format(place=place, setting=setting)
        raise OtherStoreError(sentence) from error


async def _place(db: Queryable, store_id: str) -> str | None:
    """Return where a store is that files were moved from or to; None for any other, or if the role may not know."""
    try:
        return await moves.place(db, store_id)
    except KtImagesError:
        return None


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
