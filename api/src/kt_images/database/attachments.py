"""Attachments: which file an image has under a name. The bytes themselves are in the store."""

from collections.abc import Collection, Sequence

import psycopg2.errors
from psycopg2.extras import Json

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import AttachmentNotFoundError, ImageNotFoundError, InvalidRequestError
from kt_images.models import Attachment

UPSERT = """
    insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height)
    values (%(image_id)s, %(filename)s, %(object_key)s, %(content_type)s, %(size)s, %(sha256)s, %(width)s, %(height)s)
    on conflict (image_id, filename) do update set
        object_key = excluded.object_key, content_type = excluded.content_type, size = excluded.size,
        sha256 = excluded.sha256, width = excluded.width, height = excluded.height, created_at = now()
"""

SELECT = """
    select image_id, filename, object_key, content_type, size, sha256, width, height, created_at
    from attachments where image_id = %(image_id)s and filename = %(filename)s
"""

NAMED = "select object_key from attachments where object_key = any(%(keys)s)"

# Whoever removes files that no row names needs it for each; a backup and a restore share it from start to end.
LOCK_REMOVAL = "select pg_try_advisory_xact_lock(5046820212) as locked"
PREVENT_REMOVAL = "select pg_advisory_xact_lock_shared(5046820212)"

# An id that this database has not given out yet speaks of another database, or of a younger state of this one.
FORGOTTEN = """
    select %(image_id)s <= coalesce(pg_sequence_last_value(pg_get_serial_sequence('images', 'image_id')::regclass), 0)
        and not exists (select from attachments where object_key = %(key)s) as forgotten
"""

RESTORE = """
    insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height, created_at)
    select * from jsonb_to_recordset(%(rows)s) as row (image_id bigint, filename text, object_key text,
        content_type text, size bigint, sha256 text, width integer, height integer, created_at timestamptz)
"""


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


async def named(pool: Pool, keys: Collection[str]) -> set[str]:
    """Return those of the keys that a row names."""
    rows = await pool.query(NAMED, {"keys": list(keys)}) if keys else []
    return {row.object_key for row in rows}


async def is_forgotten(connection: Connection, key: str, image_id: int) -> bool:
    """Tell, inside a transaction, whether the file of `key`, made for the image `image_id`, may go before its end.

    It may when no row names it, unless the key was not made with this database, or somebody prevents removals.
    """
    if not (await connection.query(LOCK_REMOVAL))[0].locked:
        return False
    # A statement of its own: it sees what was committed before the lock.
    return bool((await connection.query(FORGOTTEN, {"key": key, "image_id": image_id}))[0].forgotten)


async def prevent_removal(connection: Connection) -> None:
    """Keep all files where they are until the end of the transaction."""
    await connection.query(PREVENT_REMOVAL)


async def restore(connection: Connection, rows: Sequence[Attachment]) -> None:
    """Store attachments as they were; their images are there. Raises InvalidRequestError where they contradict."""
    try:
        await connection.query(RESTORE, {"rows": Json([row.model_dump(mode="json") for row in rows])})
    except psycopg2.IntegrityError as error:
        raise InvalidRequestError("The attachments contradict each other or the images") from error
