"""Objects in the store that no row accounts for."""

from kt_images.database import orphans
from kt_images.database.pool import Pool
from kt_images.errors import DamagedStoreError
from kt_images.files.keys import object_key
from kt_images.files.store import Listed, Store
from kt_images.manage.report import Problem


async def unaccounted(pool: Pool, store: Store, step: list[Listed]) -> tuple[list[Problem], int]:
    """Return what of a listing should not lie in the store, and how much more of it waits for the collector.

    A thumbnail belongs there as long as its object does.
    """
    originals = {one.key: object_key(one.key) for one in step}
    ours = {key: original for key, original in originals.items() if original}
    unreferenced = await orphans.unreferenced(pool, {*ours, *ours.values()})
    found, waiting = [], 0
    for key, original in originals.items():
        if original is None:
            found.append(Problem("foreign", key))
        elif original in unreferenced and (unreferenced[original] or unreferenced[key]):
            waiting += 1
        elif original in unreferenced and await _exists(store, key):
            found.append(Problem("orphan", key))
    return found, waiting


async def _exists(store: Store, key: str) -> bool:
    """Return whether the object is still there: the collector may have taken it since it was listed."""
    try:
        async with store.content(key):
            return True
    except DamagedStoreError as error:
        return not isinstance(error.__cause__, FileNotFoundError)
