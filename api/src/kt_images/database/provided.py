"""The database that the settings mean: the one of their DSN, or an embedded server, kept running and up to date."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from kt_images.background import meanwhile
from kt_images.base_settings import Settings
from kt_images.database import embedded, schema
from kt_images.database.connection import UNHURRIED, Connection
from kt_images.errors import UnavailableError
from kt_images.presence import Presence

RETRY_SECONDS = 1.0


@contextlib.asynccontextmanager
async def provided(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of the settings, else that of an embedded server. Raises UnavailableError if it does not start."""
    if settings.postgres_dsn:
        yield settings.postgres_dsn
        return
    server = embedded.Embedded(settings.database_dir)
    try:
        await asyncio.to_thread(server.ensure)
        await _upgrade(server.dsn)
        async with meanwhile(_keep_running(server)):
            yield server.dsn
    finally:
        await asyncio.to_thread(server.stop)


async def _keep_running(server: embedded.Embedded) -> None:
    presence = Presence("embedded PostgreSQL")
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await asyncio.to_thread(server.ensure)
        except UnavailableError as error:
            presence.missed(str(error))
        else:
            presence.met()


async def _upgrade(dsn: str) -> None:
    connection = await Connection.open(dsn, UNHURRIED)
    try:
        await schema.upgrade(connection)
    finally:
        connection.close()
