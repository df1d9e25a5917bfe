"""Sampling: asks now and then for what would be too costly to ask for each time that the metrics are read."""

import asyncio
import logging
import math
from functools import partial

from kt_images import exposition, logs, metrics
from kt_images.database import replication, stores, tags
from kt_images.database.database import Database
from kt_images.errors import KtImagesError, StoreMovedError
from kt_images.files.store import Store

logger = logging.getLogger(__name__)

INTERVAL = 10.0  # seconds
# Above it a backlog is a backlog; to count it would take as long as to bring it up to date.
MOST_TAG_CHANGES = 100_000


async def keep_sampling(database: Database, store: Store) -> None:
    """Sample until cancelled. What cannot be asked keeps its last value, and `kt_images_up` says why."""
    samples = (
        partial(_sample_store, store),
        partial(_look_for_move, database, store),
        partial(_sample_tags, database),
        partial(_sample_replica, database),
    )
    while True:
        exposition.measure()
        for sample in samples:
            try:
                await sample()
            except (KtImagesError, OSError):
                pass  # what is not there is in the log already
            except Exception:
                logger.exception("The metrics could not be brought up to date")
        await asyncio.sleep(INTERVAL)


async def _sample_store(store: Store) -> None:
    await store.check()
    room = await store.room()
    # Not 0, which would be full: an alert compares in vain.
    metrics.STORE_FREE_BYTES.set(room.free if room else math.nan)
    metrics.STORE_SIZE_BYTES.set(room.size if room else math.nan)


async def _look_for_move(database: Database, store: Store) -> None:
    try:
        await stores.check(database.primary.statements, store.entered)
    except StoreMovedError as error:
        logs.faults.warning("%s", error)


async def _sample_tags(database: Database) -> None:
    metrics.TAG_CHANGES.set(await tags.pending(database.primary.statements, MOST_TAG_CHANGES))


async def _sample_replica(database: Database) -> None:
    if database.replica is not database.primary:
        lag = await replication.lag(database.primary.statements, database.replica.statements, math.inf)
        if lag is not None:
            metrics.REPLICA_LAG_SECONDS.set(lag)
