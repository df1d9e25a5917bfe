"""The collector: files that no row names go, once they are too old to be on their way.

A file gets into the store before its row, and its row goes before the file: replaced and deleted attachments, uploads
that broke off and services that were killed leave files behind, never rows without one. Several services may collect
in one store: the database is asked again at the moment at which a file goes, and a file that has gone is no matter.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from kt_images.database import attachments
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError
from kt_images.files.store import Store
from kt_images.files.walk import Found, in_steps

logger = logging.getLogger(__name__)

# A service that is restarted often collects too, but not while it starts.
FIRST_SECONDS = 30.0


async def keep_collecting(pool: Pool, store: Store, interval: float, grace: float) -> None:
    """Collect every `interval` seconds until cancelled; what fails is logged and tried again."""
    await asyncio.sleep(min(interval, FIRST_SECONDS))
    while True:
        try:
            if removed := await collect(pool, store, grace):
                logger.info("Removed %d files that no row names", removed)
        except (KtImagesError, OSError) as error:
            logger.warning("Files could not be collected: %s", error)
        except Exception:
            logger.exception("Files could not be collected")
        await asyncio.sleep(interval)


async def collect(pool: Pool, store: Store, grace: float) -> int:
    """Remove objects that no row names and temporary files that nobody writes any more; return how many went.

    A file stays for `grace` seconds after it came, as its row may be on the way, and for as long again after it was
    first seen without one: whoever read its row before may still want it. Raises UnavailableError and TooSlowError;
    what is left then is for the next time.
    """
    await asyncio.to_thread(store.check)  # another one may be mounted by now
    oldest, removed = time.time() - grace, 0
    async for step in in_steps(store.objects()):
        for found in await unnamed(pool, [one for one in step if one.changed < oldest]):
            if found.noticed:
                removed += await dispose(pool, found, store.remove)
            elif found.key:
                await asyncio.to_thread(store.notice, found)
    async for step in in_steps(store.unfinished()):
        for found in step:
            if found.changed < oldest:
                await asyncio.to_thread(store.remove, found)
                removed += 1
    return removed


async def unnamed(pool: Pool, step: list[Found]) -> list[Found]:
    """Return those of the objects that no row names now."""
    named = await attachments.named(pool, {found.key for found in step if found.key})
    return [found for found in step if found.key not in named]


async def dispose(pool: Pool, found: Found, means: Callable[[Found], None]) -> bool:
    """Have the object removed by `means` unless a row names it at this moment; tell whether it went."""
    if found.key is None or found.image_id is None:
        return False  # somebody else's: the check shows it
    async with pool.transaction() as connection:
        if forgotten := await attachments.is_forgotten(connection, found.key, found.image_id):
            await asyncio.to_thread(means, found)
    return forgotten
