"""What the application opens when it starts and closes when it ends, each in one place.

In this order: the processes that decode pictures, the store, the database with its pools, the collector.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator

from aiohttp import web

from kt_images import collector
from kt_images.base_settings import Settings
from kt_images.database import embedded, schema
from kt_images.database.connection import Connection
from kt_images.database.database import Database
from kt_images.database.meanings import explained
from kt_images.errors import KtImagesError, OtherStoreError, SchemaError, UnavailableError
from kt_images.files.decoders import Decoders
from kt_images.files.disk import Disk
from kt_images.files.thumbnails import Thumbnails
from kt_images.pairing import pair
from kt_images.uploads import Uploads
from kt_images.views import app_keys

logger = logging.getLogger(__name__)

# Why the service ended itself, for whoever started it.
FAILURES = web.AppKey("failures", list[KtImagesError])

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
    async with _postgresql(settings) as dsn:
        if not settings.postgres_dsn:
            await _upgrade(dsn)
        async with Database.open(dsn, settings) as app[app_keys.DATABASE]:
            app[app_keys.UPLOADS] = Uploads(
                app[app_keys.DATABASE].primary.statements,
                app[app_keys.STORE],
                app[app_keys.DECODERS],
                settings.max_upload_size,
            )
            try:
                await _match(app)
                waiting = None
            except UnavailableError as error:
                logger.warning("%s", explained(error))
                waiting = asyncio.create_task(_wait_for(app))
            yield
            if waiting:
                waiting.cancel()


@contextlib.asynccontextmanager
async def _postgresql(settings: Settings) -> AsyncIterator[str]:
    """Give the DSN of the settings, else that of an embedded server that is kept running."""
    if settings.postgres_dsn:
        yield settings.postgres_dsn
        return
    server = embedded.Embedded(settings.database_dir)
    server.ensure()
    keeping = asyncio.create_task(_keep_running(server))
    try:
        yield server.dsn
    finally:
        keeping.cancel()
        await asyncio.to_thread(server.stop)


async def _keep_running(server: embedded.Embedded) -> None:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            server.ensure()
        except (UnavailableError, OSError) as error:
            logger.error("%s", error)  # noqa: TRY400 (the sentence says it)


async def _collector(app: web.Application) -> AsyncIterator[None]:
    settings = app[app_keys.SETTINGS]
    if not settings.collect_interval:
        yield
        return
    db, store = app[app_keys.DATABASE].primary.statements, app[app_keys.STORE]
    collecting = asyncio.create_task(
        collector.keep_collecting(
            db, store, settings.thumbnail_widths, settings.collect_interval, settings.collect_grace
        )
    )
    yield
    collecting.cancel()
    await asyncio.wait([collecting])


async def _upgrade(dsn: str) -> None:
    connection = await Connection.open(dsn, schema.LIMITS)
    try:
        await schema.upgrade(connection)
    finally:
        connection.close()


async def _match(app: web.Application) -> None:
    """See that database, schema and store belong together. Raises SchemaError, OtherStoreError, UnavailableError."""
    db = app[app_keys.DATABASE].primary.statements
    await schema.check(db)
    await pair(db, app[app_keys.STORE])


async def _wait_for(app: web.Application) -> None:
    """Take up service as soon as the database can be reached; end it when it is not the right one."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await _match(app)
            return logger.warning("The database can be reached now")
        except (SchemaError, OtherStoreError) as error:
            app[FAILURES].append(error)
            return signal.raise_signal(signal.SIGTERM)
        except KtImagesError:
            continue


CONTEXTS = (_decoders, _store, _database, _collector)
