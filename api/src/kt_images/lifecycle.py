"""What the application opens when it starts and closes when it ends, each in one place.

In this order: the threads that decode pictures, the store, the database with its pools, the collector.
"""

import asyncio
import contextlib
import dataclasses
import logging
import signal
from collections.abc import AsyncIterator

from aiohttp import web

from kt_images import collector
from kt_images.base_settings import Settings
from kt_images.database import embedded, schema
from kt_images.database.connection import Connection, Limits
from kt_images.database.hosts import preferring_standbys
from kt_images.database.meanings import explained
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError, OtherStoreError, SchemaError, UnavailableError
from kt_images.files.pictures import Pictures
from kt_images.files.store import Store
from kt_images.files.thumbnails import Thumbnails
from kt_images.pairing import pair
from kt_images.views import keys

logger = logging.getLogger(__name__)

# Why the service ended itself, for whoever started it.
FAILURES = web.AppKey("failures", list[KtImagesError])

RETRY_SECONDS = 1.0


async def _pictures(app: web.Application) -> AsyncIterator[None]:
    with Pictures(app[keys.SETTINGS].max_pixels) as app[keys.PICTURES]:
        yield


async def _store(app: web.Application) -> AsyncIterator[None]:
    app[keys.STORE] = Store(app[keys.SETTINGS].uploads_dir)
    app[keys.STORE].open()
    app[keys.THUMBNAILS] = Thumbnails(app[keys.STORE], app[keys.PICTURES])
    yield


async def _database(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    limits = Limits(
        settings.connect_timeout, settings.acquire_timeout, settings.statement_timeout, settings.lock_timeout
    )
    async with _postgresql(settings) as dsn:
        if not settings.postgres_dsn:
            await _upgrade(dsn, limits)
        async with (
            Pool(dsn, settings.pool_size, limits) as app[keys.POOL],
            Pool(dsn, settings.stream_pool_size, _patient(settings, limits)) as app[keys.STREAM_POOL],
            _replicas(app, dsn, limits),
        ):
            try:
                await _match(app)
                waiting = None
            except UnavailableError as error:
                logger.warning("%s", explained(error))
                waiting = asyncio.create_task(_wait_for(app))
            yield
            if waiting:
                waiting.cancel()


def _patient(settings: Settings, limits: Limits) -> Limits:
    """A list waits longer for its turn than other requests: slow readers come in crowds."""
    return dataclasses.replace(limits, acquire=max(limits.acquire, settings.stream_patience))


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


@contextlib.asynccontextmanager
async def _replicas(app: web.Application, dsn: str, limits: Limits) -> AsyncIterator[None]:
    """Have images and lists read from the replicas, and from the primary while none of them answers."""
    settings = app[keys.SETTINGS]
    if not settings.postgres_replica_dsn:
        app[keys.REPLICA_POOL], app[keys.REPLICA_STREAM_POOL] = app[keys.POOL], app[keys.STREAM_POOL]
        yield
        return
    replicas = preferring_standbys(settings.postgres_replica_dsn)
    async with (
        Pool(replicas, settings.pool_size, limits, fallback=dsn) as app[keys.REPLICA_POOL],
        Pool(replicas, settings.stream_pool_size, _patient(settings, limits), dsn) as app[keys.REPLICA_STREAM_POOL],
    ):
        yield


async def _collector(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    if not settings.collect_interval:
        yield
        return
    collecting = asyncio.create_task(
        collector.keep_collecting(app[keys.POOL], app[keys.STORE], settings.collect_interval, settings.collect_grace)
    )
    yield
    collecting.cancel()
    await asyncio.wait([collecting])


async def _upgrade(dsn: str, limits: Limits) -> None:
    connection = await Connection.open(dsn, limits)
    try:
        await schema.upgrade(connection)
    finally:
        connection.close()


async def _match(app: web.Application) -> None:
    """See that database, schema and store belong together. Raises SchemaError, OtherStoreError, UnavailableError."""
    await schema.check(app[keys.POOL])
    await pair(app[keys.POOL], app[keys.STORE])


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


CONTEXTS = (_pictures, _store, _database, _collector)
