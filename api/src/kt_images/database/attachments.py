"""Attachments: the named files of an image, as rows. Their bytes are objects in the store."""

from collections.abc import AsyncGenerator, Collection, Sequence

import psycopg2.errors
from psycopg2.extras import Json

from kt_images.database.connection import Connection, Queryable
from kt_images.database.stores import IS_CURRENT
from kt_images.errors import (
    AttachmentNotFoundError,
    CollectedError,
    ImageNotFoundError,
    InvalidRequestError,
    TooManyAttachmentsError,
)
from kt_images.models.attachments import Attachment

COLUMNS = "image_id, filename, object_key, content_type, size, sha256, width, height, created_at"

# Without an entry in orphans, or with one that is taken, the collector removes the object: nothing is written then.
# In a store that is not the database's any more, neither.
PUT = f"""
    with expected as (
        delete from orphans where object_key = %(object_key)s and taken_at is null and {IS_CURRENT} returning object_key
    )
    insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height)
    select %(image_id)s, %(filename)s, object_key, %(content_type)s, %(size)s, %(sha256)s, %(width)s, %(height)s
    from expected
    on conflict (image_id, filename) do update set
        object_key = excluded.object_key, content_type = excluded.content_type, size = excluded.size,
        sha256 = excluded.sha256, width = excluded.width, height = excluded.height, created_at = now()
    returning image_id
"""

# Counts no further than it has to.
COUNT_OTHERS = """
    select (select count(*) from (
        select from attachments where image_id = %(image_id)s and filename <> %(filename)s limit %(most)s
    ) as others) as others
    from images where image_id = %(image_id)s
"""

SELECT = f"""
    select {COLUMNS}
    from attachments join unnest(%(image_ids)s::bigint[], %(filenames)s::text[]) as asked (image_id, filename)
        using (image_id, filename)
"""

# By code point: the order of names does not depend on the database's locale.
SELECT_PAGE = f"""
    select {COLUMNS} from attachments
    where image_id = %(image_id)s and filename collate "C" > %(after)s
    order by filename collate "C"
    limit %(limit)s
"""

DELETE = "delete from attachments where image_id = %(image_id)s and filename = %(filename)s returning image_id"

REFERENCED = "select object_key from attachments where object_key = any(%(keys)s)"

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

HAVE_BYTES = "select exists (select from attachments where sha256 = %(sha256)s) as found"

# Held to the end of the transaction: another upload of the same bytes waits for it.
LOCK_BYTES = "select pg_advisory_xact_lock(hashtextextended(%(sha256)s, 0))"

# Its image cannot be deleted before the end of the transaction.
SELECT_TWIN = """
    select image_id from attachments join images using (image_id)
    where sha256 = %(sha256)s
    order by image_id
    limit 1
    for key share of images
"""

RESTORE = f"""
    insert into attachments ({COLUMNS})
    select {COLUMNS} from jsonb_populate_recordset(null::attachments, %(rows)s)
"""


async def put(db: Queryable, attachment: Attachment, store_id: str | None = None) -> None:
    """Write the row, replacing one of the same name; its object is stored, and its key was expected.

    Raises ImageNotFoundError, and CollectedError when the collector has removed the object meanwhile or the files were
    moved to another store than that of this id.
    """
    try:
        if not await db.query(PUT, {**attachment.model_dump(), "store_id": store_id}):
            raise CollectedError
    except psycopg2.errors.ForeignKeyViolation:
        raise ImageNotFoundError(attachment.image_id) from None


async def check_room(db: Queryable, image_id: int, filename: str, most: int) -> None:
    """See that the image exists and may have an attachment of this name, as one of at most `most`.

    Raises ImageNotFoundError and TooManyAttachmentsError. Uploads at the same moment may exceed the number a little.
    """
    rows = await db.query(COUNT_OTHERS, {"image_id": image_id, "filename": filename, "most": most})
    if not rows:
        raise ImageNotFoundError(image_id)
    if rows[0].others >= most:
        raise TooManyAttachmentsError(most)


async def read(db: Queryable, names: Sequence[tuple[int, str]]) -> list[Attachment | None]:
    """Return the attachments with these ids of images and filenames, in this order; None where there is none."""
    image_ids, filenames = zip(*names, strict=True)
    rows = await db.query(SELECT, {"image_ids": list(image_ids), "filenames": list(filenames)})
    found = {(row.image_id, row.filename): Attachment.model_validate(row) for row in rows}
    return [found.get(name) for name in names]


async def referenced(db: Queryable, keys: Collection[str]) -> set[str]:
    """Return those of the keys that a row has."""
    return {row.object_key for row in await db.query(REFERENCED, {"keys": list(keys)})} if keys else set()


async def restore(connection: Connection, rows: Sequence[Attachment]) -> None:
    """Write attachments as they once were; their images exist. Raises InvalidRequestError when they cannot be."""
    try:
        await connection.query(RESTORE, {"rows": Json([row.model_dump(mode="json") for row in rows])})
    except (psycopg2.IntegrityError, psycopg2.DataError, UnicodeError, ValueError) as error:
        raise InvalidRequestError("The attachments are inconsistent or malformed") from error


async def pages(db: Queryable, image_id: int, size: int) -> AsyncGenerator[list[Attachment], None]:
    """Yield the image's attachments by filename, up to `size` at a time; nothing for an image that does not exist."""
    parameters = {"image_id": image_id, "after": "", "limit": size}
    while page := [Attachment.model_validate(row) for row in await db.query(SELECT_PAGE, parameters)]:
        yield page
        if len(page) < size:
            return
        parameters["after"] = page[-1].filename


async def read_by_bytes(db: Queryable, sha256: Collection[str]) -> list[Attachment]:
    """Return the attachments with these SHA-256, by image and filename; of each, the first 100."""
    rows = await db.query(SELECT_BY_BYTES, {"sha256": list(sha256)})
    return [Attachment.model_validate(row) for row in rows]


async def have_bytes(db: Queryable, sha256: str) -> bool:
    """Return whether an attachment has these bytes at this moment."""
    return bool((await db.query(HAVE_BYTES, {"sha256": sha256}))[0].found)


async def lock_twin(connection: Connection, sha256: str) -> int | None:
    """Return the first image that has these bytes, None if no image has; nothing changes that until the commit."""
    await connection.query(LOCK_BYTES, {"sha256": sha256})
    rows = await connection.query(SELECT_TWIN, {"sha256": sha256})
    return rows[0].image_id if rows else None


async def delete(db: Queryable, image_id: int, filename: str) -> None:
    """Delete the attachment; its object is left to the collector. Raises AttachmentNotFoundError."""
    if not await db.query(DELETE, {"image_id": image_id, "filename": filename}):
        raise AttachmentNotFoundError
