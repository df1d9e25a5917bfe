"""What the application opens at its start and closes at its end, each in one place.

In this order: the processes that decode pictures, the store, the database with its pools, the collector, the counting,
the keyring, the sampling.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator

from aiohttp import web

from kt_images import collector, counting, sampling
from kt_images.access import gate, usage
from kt_images.access.keyring import Keyring
from kt_images.background import meanwhile
from kt_images.database import schema, session_limits
from kt_images.database.database import Database
from kt_images.database.failures import explained
from kt_images.database.provided import provided
from kt_images.errors import KtImagesError, OtherStoreError, SchemaError, UnavailableError, UnlimitedError
from kt_images.files.decoders import Decoders
from kt_images.files.stores import store_of
from kt_images.files.thumbnails import Thumbnails
from kt_images.pairing import pair
from kt_images.presence import Presence
from kt_images.readiness import Readiness
from kt_images.uploads import Uploads
from kt_images.views import app_keys

logger = logging.getLogger(__name__)

# Why the service ended itself, for whoever started it.
REASONS_TO_END = web.AppKey("reasons_to_end", list[KtImagesError])

RETRY_SECONDS = 1.0


async def _decoders(app: web.Application) -> AsyncIterator[None]:
    settings = app[app_keys.SETTINGS]
    async with Decoders(settings.max_pixels, settings.decode_memory) as app[app_keys.DECODERS]:
        yield


async def _store(app: web.Application) -> AsyncIterator[None]:
    app[app_keys.STORE] = store_of(app[app_keys.SETTINGS], Presence("store"))
    await app[app_keys.STORE].open()
    app[app_keys.THUMBNAILS] = Thumbnails(app[app_keys.STORE], app[app_keys.DECODERS])
    yield


async def _database(app: web.Application) -> AsyncIterator[None]:
    settings = app[app_keys.SETTINGS]
    async with (
        provided(settings) as dsn,
        Database.open(dsn, settings) as app[app_keys.DATABASE],
        contextlib.AsyncExitStack() as stack,
    ):
        db = app[app_keys.DATABASE].primary.statements
        store, decoders, thumbnails = app[app_keys.STORE], app[app_keys.DECODERS], app[app_keys.THUMBNAILS]
        app[app_keys.READINESS] = Readiness(app[app_keys.DATABASE], store, settings)
        app[app_keys.UPLOADS] = Uploads(db, store, decoders, thumbnails, settings)
        try:
            await _match(app)
        except UnavailableError as error:
            if not app[app_keys.DATABASE].presence.is_missed:  # else it is in the log
                logger.warning("%s", explained(error))
            await stack.enter_async_context(meanwhile(_match_later(app)))
        yield


async def _collector(app: web.Application) -> AsyncIterator[None]:
    settings = app[app_keys.SETTINGS]
    if not settings.collect_interval:
        yield
        return
    db, store = app[app_keys.DATABASE].primary.statements, app[app_keys.STORE]
    collecting = collector.keep_collecting(
        db, store, settings.thumbnail_widths, settings.collect_interval, settings.collect_grace
    )
    async with meanwhile(collecting):
        yield


async def give_up(app: web.Application) -> None:
    """End what requests in flight may wait for longest, so that they are answered with a 503."""
    await app[app_keys.DECODERS].end()


async def _counting(app: web.Application) -> AsyncIterator[None]:
    async with meanwhile(counting.keep_counting(app[app_keys.DATABASE].primary.statements)):
        yield


async def _keyring(app: web.Application) -> AsyncIterator[None]:
    pools = app[app_keys.DATABASE].primary
    db, keyring = pools.statements, Keyring(pools.shared.find_key)
    app[gate.KEYRING] = keyring
    async with meanwhile(usage.keep_noting(db, keyring)):
        yield
    await usage.note(db, keyring)


async def _sampling(app: web.Application) -> AsyncIterator[None]:
    async with meanwhile(sampling.keep_sampling(app[app_keys.DATABASE], app[app_keys.STORE])):
        yield


CONTEXTS = (_decoders, _store, _database, _collector, _counting, _keyring, _sampling)


async def _match(app: web.Application) -> None:
    """See that database, schema and store belong together, and that no session can hang for ever.

    Raises SchemaError, OtherStoreError, UnlimitedError, UnavailableError.
    """
    database = app[app_keys.DATABASE]
    db, replica = database.primary.statements, database.replica.statements
    await session_limits.check(db)
    if replica is not db:
        await session_limits.check(replica)
    await schema.check(db)
    await pair(db, app[app_keys.STORE])


async def _match_later(app: web.Application) -> None:
    """Begin to serve once the database can be reached; end the service if it is not the right one."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await _match(app)
            break
        except (SchemaError, OtherStoreError, UnlimitedError) as error:
            app[REASONS_TO_END].append(error)
            signal.raise_signal(signal.SIGTERM)
            return
        except KtImagesError:
            continue
    app[app_keys.DATABASE].presence.met()
