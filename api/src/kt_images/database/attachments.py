"""Attachments: which file an image has under a name. The bytes themselves are in the store."""

from collections.abc import Collection, Sequence

import psycopg2.errors
from psycopg2.extras import Json

from kt_images.database.connection import Connection, Queryable
from kt_images.errors import AttachmentNotFoundError, ImageNotFoundError, InvalidRequestError
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


async def put(db: Queryable, attachment: Attachment) -> None:
    """Store the row, in the place of one of the same name. Raises ImageNotFoundError."""
    try:
        await db.query(UPSERT, attachment.model_dump())
    except psycopg2.errors.ForeignKeyViolation:
        raise ImageNotFoundError(attachment.image_id) from None


async def read(db: Queryable, image_id: int, filename: str) -> Attachment:
    """Return the attachment. Raises AttachmentNotFoundError."""
    rows = await db.query(SELECT, {"image_id": image_id, "filename": filename})
    if not rows:
        raise AttachmentNotFoundError
    return Attachment.model_validate(rows[0])


async def named(db: Queryable, keys: Collection[str]) -> set[str]:
    """Return those of the keys that a row names."""
    rows = await db.query(NAMED, {"keys": list(keys)}) if keys else []
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
    except (psycopg2.IntegrityError, psycopg2.DataError, UnicodeError, ValueError) as error:
        raise InvalidRequestError("The attachments contradict each other or the images, or are none") from error


async def read_all(db: Queryable, image_id: int) -> list[Attachment]:
    """Return the image's attachments by filename; none for an image that is not there."""
    return [Attachment.model_validate(row) for row in await db.query(SELECT_ALL, {"image_id": image_id})]


async def names(db: Queryable, object_key: str) -> bool:
    """Tell whether an attachment has the file of this key."""
    return bool(await db.query(SELECT_KEY, {"object_key": object_key}))


async def lock_twin(connection: Connection, sha256: str) -> int | None:
    """Return the first image that has these bytes, None if there is none, and keep that so until the end."""
    await connection.query(LOCK_BYTES, {"sha256": sha256})
    rows = await connection.query(SELECT_TWIN, {"sha256": sha256})
    return rows[0].image_id if rows else None


async def delete(db: Queryable, image_id: int, filename: str) -> None:
    """Delete the attachment; its file is the collector's. Raises AttachmentNotFoundError."""
    if not await db.query(DELETE, {"image_id": image_id, "filename": filename}):
        raise AttachmentNotFoundError


# The same bytes may belong to a million images: what one answer holds must not depend on it.
MOST_OF_THE_SAME = 100

SELECT_BY_BYTES = f"""
    select {COLUMNS}
    from (select distinct unnest(%(sha256)s::text[]) as asked) as digests
    cross join lateral (
        select {COLUMNS} from attachments
        where sha256 = asked
        order by image_id, filename collate "C"
        limit {MOST_OF_THE_SAME}
    ) as having_it
    order by image_id, filename collate "C"
"""


async def read_by_bytes(db: Queryable, sha256: Collection[str]) -> list[Attachment]:
    """Return the attachments with these SHA-256, by image and filename; of each, the first 100."""
    rows = await db.query(SELECT_BY_BYTES, {"sha256": list(sha256)})
    return [Attachment.model_validate(row) for row in rows]
