"""The application: its routes on one screen, and what it opens and closes."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator

from aiohttp import web, web_server
from aiohttp.typedefs import Handler

from kt_images import collector
from kt_images.base_settings import Settings
from kt_images.database import embedded, schema, stores
from kt_images.database.connection import Connection, Limits
from kt_images.database.pool import Pool
from kt_images.errors import OtherStoreError, SchemaError, UnavailableError
from kt_images.files.pictures import Pictures
from kt_images.files.store import Store
from kt_images.files.thumbnails import Thumbnails
from kt_images.views import documentation, keys, problems
from kt_images.views.attachments import AttachmentsView, AttachmentView
from kt_images.views.health import HealthView, ReadyView
from kt_images.views.images import ImagesView, ImageView
from kt_images.views.media import MediaView
from kt_images.views.uploads import UploadView

logger = logging.getLogger(__name__)

IMAGE = "/images/{image_id:[1-9][0-9]{0,18}}"
RETRY_SECONDS = 1.0


class InFlight:
    """The requests that are being answered, so that the end of the service can wait for them."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._count += 1
        self._none.clear()
        try:
            return await handler(request)
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def none(self) -> None:
        """Wait until there is none."""
        await self._none.wait()


IN_FLIGHT = web.AppKey("in_flight", InFlight)


def create_app(settings: Settings) -> web.Application:
    """Return the service. Nothing is opened before the application starts."""
    # aiohttp has no hook for answers to requests that it cannot parse.
    web_server.RequestHandler = problems.Protocol  # type: ignore[attr-defined]  # not exported, but looked up there
    documentation.install()

    in_flight = InFlight()
    app = web.Application(middlewares=[in_flight.middleware, problems.middleware])
    app[IN_FLIGHT] = in_flight
    app[keys.SETTINGS] = settings
    app.router.add_view("/images", ImagesView)
    app.router.add_view("/images/upload", UploadView)
    app.router.add_view(IMAGE, ImageView)
    app.router.add_view(IMAGE + "/attachments", AttachmentsView)
    app.router.add_view(IMAGE + "/attachment/{filename}", AttachmentView)
    app.router.add_view("/media/{image_id:[1-9][0-9]{0,18}}/{filename}", MediaView)
    app.router.add_view("/healthz", HealthView)
    app.router.add_view("/readyz", ReadyView)
    documentation.setup(app)
    app.on_response_prepare.append(_be_safe)
    app.cleanup_ctx.extend([_pictures, _store, _database, _collector])
    return app


async def _be_safe(_request: web.Request, response: web.StreamResponse) -> None:
    """Have no browser run what somebody uploaded, whatever it is."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; sandbox")


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
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        if not settings.postgres_dsn:
            await _upgrade(dsn, limits)
        async with (
            Pool(dsn, settings.pool_size, limits) as app[keys.POOL],
            Pool(dsn, settings.stream_pool_size, limits) as app[keys.STREAM_POOL],
        ):
            try:
                await _match(app[keys.POOL], app[keys.STORE])
                waiting = None
            except UnavailableError:
                waiting = asyncio.create_task(_wait_for(app[keys.POOL], app[keys.STORE]))
            yield
            if waiting:
                waiting.cancel()


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


async def _match(pool: Pool, store: Store) -> None:
    """See that database, schema and store belong together. Raises SchemaError, OtherStoreError, UnavailableError."""
    await schema.check(pool)
    known = await stores.known(pool)
    if known is None:
        await stores.remember(pool, store.claim())
        known = await stores.known(pool)
    store.enter(known or "")


async def _wait_for(pool: Pool, store: Store) -> None:
    """Take up service as soon as the database can be reached; end it when it is not the right one."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            return await _match(pool, store)
        except (SchemaError, OtherStoreError) as error:
            logger.critical("%s", error)
            return signal.raise_signal(signal.SIGTERM)
        except UnavailableError:
            continue
