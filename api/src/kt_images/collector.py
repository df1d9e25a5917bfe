"""The collector: removes the objects of orphans that are past the grace period.

An upload enters its key before its object is stored; when an attachment is replaced or deleted, its key is entered with
that. The grace period covers whoever is still on the way: an upload whose row comes next, a client that read a row just
before it went. Several services may collect in one store; each takes what no other has taken.
"""

import asyncio
import logging
import time
from collections.abc import Iterable

from kt_images import metrics
from kt_images.database import orphans
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError
from kt_images.files import keys
from kt_images.files.store import Store

logger = logging.getLogger(__name__)

# A service that is restarted often collects too, but not while it starts.
FIRST_SECONDS = 30.0
# Taken and removed together.
STEP = 200
# Since the last write to a temporary file, at least; no upload waits for so long.
SWEEP_SECONDS = 3600.0


async def keep_collecting(db: Pool, store: Store, widths: Iterable[int], interval: float, grace: float) -> None:
    """Collect every `interval` seconds until cancelled; a failure is logged, and the next time tries again."""
    await asyncio.sleep(min(interval, FIRST_SECONDS))
    while True:
        try:
            if removed := await collect(db, store, widths, grace):
                logger.info("Removed %d objects without a row", removed)
            metrics.COLLECTOR_LAST_RUN.set_to_current_time()
        except (KtImagesError, OSError) as error:
            metrics.COLLECTOR_FAILURES.inc()
            logger.warning("Objects without a row could not be removed: %s", error)
        except Exception:
            metrics.COLLECTOR_FAILURES.inc()
            logger.exception("Objects without a row could not be removed")
        await asyncio.sleep(interval)


async def collect(db: Pool, store: Store, widths: Iterable[int], grace: float) -> int:
    """Remove orphans of more than `grace` seconds with their thumbnails of these widths; return how many.

    Also removes what interrupted uploads left. Raises UnavailableError and TooSlowError; the next call does the rest.
    """
    await store.check()  # another one may be mounted by now
    # A finished upload may wait for its turn to be decoded.
    await store.sweep(time.time() - max(grace, SWEEP_SECONDS))
    removed = 0
    while True:
        taken = await orphans.take(db, grace, STEP, store.entered)
        # The objects first: a thumbnail that is made meanwhile looks for its object afterwards.
        await store.remove(taken)
        await store.remove(keys.thumbnail_key(key, width) for key in taken for width in widths)
        await orphans.forget(db, taken)
        removed += len(taken)
        metrics.COLLECTOR_REMOVED.inc(len(taken))
        if len(taken) < STEP:
            return removed
