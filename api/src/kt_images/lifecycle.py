"""What the application opens at its start and closes at its end, each in one place.

In this order: the processes that decode pictures, the store, the database with its pools, the collector, the
counting, the keyring.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Coroutine

from aiohttp import web

from kt_images import collector, counting
from kt_images.access import gate, usage
from kt_images.access.keyring import Keyring
from kt_images.base_settings import Settings
from kt_images.database import embedded, schema
from kt_images.database.connection import UNHURRIED, Connection
from kt_images.database.database import Database
from kt_images.database.failures import explained
from kt_images.errors import KtImagesError, OtherStoreError, SchemaError, UnavailableError
from kt_images.files.decoders import Decoders
from kt_images.files.disk import Disk
from kt_images.files.thumbnails import Thumbnails
from kt_images.pairing import pair
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
    app[app_keys.STORE] = Disk(app[app_keys.SETTINGS].uploads_dir)
    await app[app_keys.STORE].open()
    app[app_keys.THUMBNAILS] = Thumbnails(app[app_keys.STORE], app[app_keys.DECODERS])
    yield


async def _database(app: web.Application) -> AsyncIterator[None]:
    settings = app[app_keys.SETTINGS]
    async with (
        _postgresql(settings) as dsn,
        Database.open(dsn, settings) as app[app_keys.DATABASE],
        contextlib.AsyncExitStack() as stack,
    ):
        db = app[app_keys.DATABASE].primary.statements
        store, decoders, thumbnails = app[app_keys.STORE], app[app_keys.DECODERS], app[app_keys.THUMBNAILS]
        app[app_keys.UPLOADS] = Uploads(db, store, decoders, thumbnails, settings)
        try:
            await _match(app)
        except UnavailableError as error:
            logger.warning("%s", explained(error))
            await stack.enter_async_context(_meanwhile(_match_later(app)))
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
    async with _meanwhile(collecting):
        yield


async def give_up(app: web.Application) -> None:
    """End what requests in flight may wait for longest, so that they are answered with a 503."""
    await app[app_keys.DECODERS].end()


async def _counting(app: web.Application) -> AsyncIterator[None]:
    async with _meanwhile(counting.keep_counting(app[app_keys.DATABASE].primary.statements)):
        yield


async def _keyring(app: web.Application) -> AsyncIterator[None]:
    pools = app[app_keys.DATABASE].primary
    db, keyring = pools.statements, Keyring(pools.shared.find_key)
    app[gate.KEYRING] = keyring
    async with _meanwhile(usage.keep_noting(db, keyring)):
        yield
    await usage.note(db, keyring)


CONTEXTS = (_decoders, _store, _database, _collector, _counting, _keyring)


@contextlib.asynccontextmanager
async def _postgresql(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of the settings, else that of an embedded server that is kept running and up to date."""
    if settings.postgres_dsn:
        yield settings.postgres_dsn
        return
    server = embedded.Embedded(settings.database_dir)
    try:
        await asyncio.to_thread(server.ensure)
        await _upgrade(server.dsn)
        async with _meanwhile(_keep_running(server)):
            yield server.dsn
    finally:
        await asyncio.to_thread(server.stop)


async def _keep_running(server: embedded.Embedded) -> None:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await asyncio.to_thread(server.ensure)
        except UnavailableError as error:
            logger.error("%s", error)  # noqa: TRY400 (the sentence is enough)


async def _upgrade(dsn: str) -> None:
    connection = await Connection.open(dsn, UNHURRIED)
    try:
        await schema.upgrade(connection)
    finally:
        connection.close()


async def _match(app: web.Application) -> None:
    """See that database, schema and store belong together. Raises SchemaError, OtherStoreError, UnavailableError."""
    db = app[app_keys.DATABASE].primary.statements
    await schema.check(db)
    await pair(db, app[app_keys.STORE])


async def _match_later(app: web.Application) -> None:
    """Begin to serve once the database can be reached; end the service if it is not the right one."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await _match(app)
            return logger.warning("The database can be reached now")
        except (SchemaError, OtherStoreError) as error:
            app[REASONS_TO_END].append(error)
            return signal.raise_signal(signal.SIGTERM)
        except KtImagesError:
            continue


@contextlib.asynccontextmanager
async def _meanwhile(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` until the end of the context, where it is cancelled."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
