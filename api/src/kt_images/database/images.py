"""Images: their rows. Lists are in `stream.py`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg2.errors
from psycopg2.extras import Json

from kt_images.database import tags
from kt_images.database.connection import Connection, Queryable
from kt_images.database.pool import Pool
from kt_images.database.selection import where
from kt_images.errors import (
    CommitInDoubtError,
    ImageNotFoundError,
    InvalidRequestError,
    ReadOnlyError,
    UnavailableError,
)
from kt_images.models.images import Image, ImageChanges, NewImage, Selection

# The ids are given in the order of the rows, which RETURNING alone does not promise.
INSERT = """
    with given as materialized (
        select nextval(pg_get_serial_sequence('images', 'image_id')) as image_id, filename, tags
        from jsonb_to_recordset(%(rows)s::jsonb) as row (filename text, tags text[])
    ), stored as (
        insert into images (image_id, filename, tags) overriding system value
        select image_id, filename, tags from given
        returning image_id, document
    )
    select image_id, document from stored order by image_id
"""

# For one image, the statement above takes a quarter longer.
INSERT_ONE = """
    insert into images (filename, tags) values (%(filename)s, %(tags)s::text[])
    returning image_id, document
"""

INSERT_ONLY = """
    insert into images (filename, tags)
    select filename, tags from jsonb_to_recordset(%(rows)s::jsonb) as row (filename text, tags text[])
"""

# Names the table, too: whoever replaces it by a divided one, and the sequence with it, is waited for.
NEXT_ID = """
    with waited as (select from images limit 0)
    select nextval(pg_get_serial_sequence('images', 'image_id')) as image_id
"""

INSERT_WITH_ID = """
    insert into images (image_id, filename, tags) overriding system value
    values (%(image_id)s, %(filename)s, %(tags)s::text[])
    returning image_id, filename, tags
"""

SELECT = "select image_id, document from images where image_id = any(%(ids)s)"

COUNT = "select count(*) as images from images where {where}"

# An image's tags after a change. New tags follow the old ones; a repeated tag keeps its first place.
TAGS_AFTER = """
    coalesce(%(tags)s::text[], array(
        select tag
        from unnest(tags || coalesce(%(add_tags)s::text[], array[]::text[])) with ordinality as given (tag, place)
        where tag <> all (coalesce(%(remove_tags)s::text[], array[]::text[]))
        group by tag
        order by min(place)
    ))
"""

UPDATE = f"""
    update images set
        filename = coalesce(%(filename)s, filename),
        tags = {TAGS_AFTER}
    where image_id = %(image_id)s
    returning image_id, filename, tags
"""

DELETE = "delete from images where image_id = %(image_id)s returning image_id"

# Does not block readers.
LOCK = "lock table images, attachments in exclusive mode"
ANY = "select exists (select from images) as found"
RESTORE = """
    insert into images (image_id, filename, tags) overriding system value
    select * from jsonb_to_recordset(%(rows)s) as row (image_id bigint, filename text, tags text[])
"""
CONTINUE_AFTER = "select setval(pg_get_serial_sequence('images', 'image_id'), %(last)s)"


class Document(NamedTuple):
    """An image as it is stored for clients: its id, and the JSON that they get."""

    image_id: int
    json: str


async def create(db: Pool, new: Sequence[NewImage]) -> list[Document]:
    """Store new images, all or none; return them with their ids, which ascend in the order given.

    Raises CommitInDoubtError when the connection broke before the answer came.
    """
    async with db.connection() as connection:
        try:
            return await _store(connection, new)
        except ReadOnlyError:
            raise
        except UnavailableError as error:
            if connection.is_sound():
                raise
            raise CommitInDoubtError from error


async def next_id(db: Queryable) -> int:
    """Return an id that no image has had, and that no other will get."""
    return int((await db.query(NEXT_ID))[0].image_id)


async def create_as(db: Queryable, image_id: int, image: NewImage) -> Image:
    """Store a new image under an id from `next_id()`."""
    rows = await db.query(INSERT_WITH_ID, {"image_id": image_id, **image.model_dump()})
    return Image.model_validate(rows[0])


async def import_(connection: Connection, new: Sequence[str], *, answer: bool) -> list[Document]:
    """Store new images, each a NewImage as JSON, with ascending ids; return them if an `answer` is wanted."""
    rows = await connection.query(INSERT if answer else INSERT_ONLY, {"rows": f"[{','.join(new)}]"})
    return [Document(*row) for row in rows]


async def read(db: Queryable, ids: Sequence[int]) -> list[Document | None]:
    """Return the images with these ids, in this order; None where there is no such image."""
    found = {row.image_id: Document(*row) for row in await db.query(SELECT, {"ids": list(ids)})}
    return [found.get(image_id) for image_id in ids]


async def count(db: Queryable, selection: Selection) -> int:
    """Return how many images meet every filter. All of them, and those with one tag, are counted already."""
    if selection == Selection():
        return await tags.count(db, "")
    if len(selection.tags_all) == 1 and selection == Selection(tags_all=selection.tags_all):
        return await tags.count(db, selection.tags_all[0])
    return int((await db.query(COUNT.format(where=where(selection)), selection.model_dump()))[0].images)


async def change(db: Queryable, image_id: int, changes: ImageChanges) -> Image:
    """Change the image in one statement; return it as it is then.

    Raises ImageNotFoundError, and InvalidRequestError when it would have too many tags.
    """
    try:
        rows = await db.query(UPDATE, {"image_id": image_id, **changes.model_dump()})
    except psycopg2.errors.CheckViolation:
        raise InvalidRequestError("An image has at most 64 tags") from None
    return _the_image(rows, image_id)


async def delete(db: Queryable, image_id: int) -> None:
    """Delete the image and its attachments. Raises ImageNotFoundError."""
    if not await db.query(DELETE, {"image_id": image_id}):
        raise ImageNotFoundError(image_id)


async def is_empty(connection: Connection) -> bool:
    """Return whether there are no images; nobody else can store one before the end of the transaction."""
    await connection.query(LOCK)
    return not (await connection.query(ANY))[0].found


async def restore(connection: Connection, rows: Sequence[Image]) -> None:
    """Store images under the ids they once had. Raises InvalidRequestError if they are invalid."""
    try:
        await connection.query(RESTORE, {"rows": Json([row.model_dump() for row in rows])})
    except (psycopg2.IntegrityError, psycopg2.DataError, UnicodeError, ValueError) as error:
        raise InvalidRequestError("The images are inconsistent or malformed") from error


async def continue_after(connection: Connection, last: int) -> None:
    """Give new images ids above `last`."""
    if last:
        await connection.query(CONTINUE_AFTER, {"last": last})


async def _store(connection: Connection, new: Sequence[NewImage]) -> list[Document]:
    if len(new) > 1:
        return await import_(connection, [image.model_dump_json() for image in new], answer=True)
    rows = await connection.query(INSERT_ONE, {"filename": new[0].filename, "tags": new[0].tags})
    return [Document(*row) for row in rows]


def _the_image(rows: list[Any], image_id: int) -> Image:
    if not rows:
        raise ImageNotFoundError(image_id)
    return Image.model_validate(rows[0])
