"""All rows as of one moment, for the check and the backup."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from kt_images.database import attachments, orphans
from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.models.attachments import Attachment

AS_OF_ONE_MOMENT = "set transaction isolation level repeatable read, read only"

COUNT = """
    select (select count(*) from images) as images, (select count(*) from attachments) as attachments,
        coalesce(pg_sequence_last_value(pg_get_serial_sequence('images', 'image_id')::regclass), 0) as last_image_id
"""

IMAGES = "select image_id, filename, tags from images order by image_id"

ATTACHMENTS = f"select {attachments.COLUMNS} from attachments order by image_id, filename"

BY_KEY = f"select {attachments.COLUMNS} from attachments order by object_key"

DECLARE = "declare everything no scroll cursor for {sql}"

FETCH = "fetch forward {size} from everything"

CLOSE = "close everything"


class Snapshot:
    """The rows as they were when it was opened; until it is closed, their objects are not removed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, pool: Pool) -> AsyncIterator["Snapshot"]:
        """Occupy a connection until the end. Raises UnavailableError and SchemaError."""
        async with pool.transaction() as connection:
            await connection.query(AS_OF_ONE_MOMENT)
            await orphans.prevent_removal(connection)
            yield cls(connection)

    async def count(self) -> Any:
        """Return the numbers of `images` and `attachments`, and the `last_image_id` that was given out."""
        return (await self._connection.query(COUNT))[0]

    async def images(self, size: int) -> AsyncIterator[list[Any]]:
        """Yield the rows of all images by their id, `size` at a time."""
        async for rows in self._rows(IMAGES, size):
            yield rows

    async def attachments(self, size: int) -> AsyncIterator[list[Attachment]]:
        """Yield all attachments by their image and name, `size` at a time."""
        async for rows in self._rows(ATTACHMENTS, size):
            yield [Attachment.model_validate(row) for row in rows]

    async def attachments_by_key(self, size: int) -> AsyncIterator[list[Attachment]]:
        """Yield all attachments in the order in which a store lists their objects, `size` at a time."""
        async for rows in self._rows(BY_KEY, size):
            yield [Attachment.model_validate(row) for row in rows]

    async def _rows(self, sql: str, size: int) -> AsyncIterator[list[Any]]:
        await self._connection.query(DECLARE.format(sql=sql))
        while rows := await self._connection.query(FETCH.format(size=size)):
            yield rows
        await self._connection.query(CLOSE)
