"""Images: their rows, one at a time. Lists are in `stream.py`."""

from typing import Any

import psycopg2.errors

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import ImageNotFoundError, InvalidRequestError
from kt_images.models import Image, ImageChanges, NewImage

INSERT = """
    insert into images (filename, tags) values (%(filename)s, %(tags)s::text[])
    returning image_id, filename, tags
"""

SELECT = "select image_id, filename, tags from images where image_id = %(image_id)s"

# New tags stand behind the old ones, each where it first stood.
UPDATE = """
    update images set
        filename = coalesce(%(filename)s, filename),
        tags = coalesce(%(tags)s::text[], array(
            select tag
            from unnest(tags || coalesce(%(add_tags)s::text[], '{}')) with ordinality as given (tag, place)
            where tag <> all (coalesce(%(remove_tags)s::text[], '{}'))
            group by tag
            order by min(place)
        ))
    where image_id = %(image_id)s
    returning image_id, filename, tags
"""

DELETE = "delete from images where image_id = %(image_id)s returning image_id"


async def create(pool: Pool | Connection, image: NewImage) -> Image:
    """Store a new image; return it with its id."""
    rows = await pool.query(INSERT, image.model_dump())
    return Image.model_validate(rows[0])


async def read(pool: Pool, image_id: int) -> Image:
    """Return the image. Raises ImageNotFoundError."""
    return _the_image(await pool.query(SELECT, {"image_id": image_id}), image_id)


async def change(pool: Pool | Connection, image_id: int, changes: ImageChanges) -> Image:
    """Change the image in one statement; return it as it now is.

    Raises ImageNotFoundError, and InvalidRequestError when it would have too many tags.
    """
    try:
        rows = await pool.query(UPDATE, {"image_id": image_id, **changes.model_dump()})
    except psycopg2.errors.CheckViolation:
        raise InvalidRequestError("An image has at most 64 tags") from None
    return _the_image(rows, image_id)


async def delete(pool: Pool, image_id: int) -> None:
    """Delete the image, its attachments with it. Raises ImageNotFoundError."""
    if not await pool.query(DELETE, {"image_id": image_id}):
        raise ImageNotFoundError(image_id)


def _the_image(rows: list[Any], image_id: int) -> Image:
    if not rows:
        raise ImageNotFoundError(image_id)
    return Image.model_validate(rows[0])
