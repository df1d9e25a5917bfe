"""Attachments: which file an image has under a name. The bytes themselves are in the store."""

import psycopg2.errors

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import AttachmentNotFoundError, ImageNotFoundError
from kt_images.models import Attachment

UPSERT = """
    insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height)
    values (%(image_id)s, %(filename)s, %(object_key)s, %(content_type)s, %(size)s, %(sha256)s, %(width)s, %(height)s)
    on conflict (image_id, filename) do update set
        object_key = excluded.object_key, content_type = excluded.content_type, size = excluded.size,
        sha256 = excluded.sha256, width = excluded.width, height = excluded.height, created_at = now()
"""

COLUMNS = "image_id, filename, object_key, content_type, size, sha256, width, height, created_at"

SELECT = f"select {COLUMNS} from attachments where image_id = %(image_id)s and filename = %(filename)s"

# By code point: the order of names does not depend on the database's locale.
SELECT_ALL = f"""select {COLUMNS} from attachments where image_id = %(image_id)s order by filename collate "C" """

DELETE = "delete from attachments where image_id = %(image_id)s and filename = %(filename)s returning image_id"

SELECT_KEY = "select image_id from attachments where object_key = %(object_key)s"

# Held to the end of the transaction: who uploads the same bytes at the same time waits for it.
LOCK_BYTES = "select pg_advisory_xact_lock(hashtextextended(%(sha256)s, 0))"

# Its image cannot be deleted before the end of the transaction.
SELECT_TWIN = """
    select image_id from attachments join images using (image_id)
    where sha256 = %(sha256)s
    order by image_id
    limit 1
    for key share of images
"""


async def put(pool: Pool | Connection, attachment: Attachment) -> None:
    """Store the row, in the place of one of the same name. Raises ImageNotFoundError."""
    try:
        await pool.query(UPSERT, attachment.model_dump())
    except psycopg2.errors.ForeignKeyViolation:
        raise ImageNotFoundError(attachment.image_id) from None


async def read(pool: Pool, image_id: int, filename: str) -> Attachment:
    """Return the attachment. Raises AttachmentNotFoundError."""
    rows = await pool.query(SELECT, {"image_id": image_id, "filename": filename})
    if not rows:
        raise AttachmentNotFoundError
    return Attachment.model_validate(rows[0])


async def read_all(pool: Pool, image_id: int) -> list[Attachment]:
    """Return the image's attachments by filename; none for an image that is not there."""
    return [Attachment.model_validate(row) for row in await pool.query(SELECT_ALL, {"image_id": image_id})]


async def names(pool: Pool, object_key: str) -> bool:
    """Tell whether an attachment has the file of this key."""
    return bool(await pool.query(SELECT_KEY, {"object_key": object_key}))


async def lock_twin(connection: Connection, sha256: str) -> int | None:
    """Return the first image that has these bytes, None if there is none, and keep that so until the end."""
    await connection.query(LOCK_BYTES, {"sha256": sha256})
    rows = await connection.query(SELECT_TWIN, {"sha256": sha256})
    return rows[0].image_id if rows else None


async def delete(pool: Pool, image_id: int, filename: str) -> None:
    """Delete the attachment; its file is the collector's. Raises AttachmentNotFoundError."""
    if not await pool.query(DELETE, {"image_id": image_id, "filename": filename}):
        raise AttachmentNotFoundError
