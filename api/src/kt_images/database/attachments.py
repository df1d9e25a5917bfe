"""Attachments: which file an image has under a name. The bytes themselves are in the store."""

import psycopg2.errors

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


async def put(pool: Pool, attachment: Attachment) -> None:
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


async def delete(pool: Pool, image_id: int, filename: str) -> None:
    """Delete the attachment; its file is the collector's. Raises AttachmentNotFoundError."""
    if not await pool.query(DELETE, {"image_id": image_id, "filename": filename}):
        raise AttachmentNotFoundError
