"""Changes of many images, in parts: each a transaction of its own, so that nobody waits longer than for one part.

Which images are next is read for several parts at a time: where PostgreSQL finds them by their tags, it reads all that
match. A part locks its images in the order of their ids: two changes of the same images wait for each other, and never
for ever. An image that others have changed meanwhile is changed if it still matches. What is counted is what was done,
also when a session is lost.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from kt_images.database import certain
from kt_images.database.images import TAGS_AFTER
from kt_images.database.pool import Pool
from kt_images.database.selection import where
from kt_images.errors import CommitInDoubtError, TooSlowError, UnavailableError
from kt_images.fields import MAX_TAGS
from kt_images.models.images import Image, Selection

# Images of a part at most, and parts whose images are read at once.
MOST = 1000
PARTS = 20

# Ids that images get from now on are not part of it: it ends, however many are stored meanwhile.
EXTENT = "select count(*) as images, coalesce(max(image_id), 0) as last from images where {where}"

SAMPLE = "select image_id, filename, tags from images where {where} order by image_id limit %(sample)s"

NEXT = "select image_id from images where {where} order by image_id limit %(most)s"

LOCKED = """
    with locked as materialized (
        select image_id, tags from images where image_id = any(%(part)s) order by image_id for update
    )
"""

RETAG = f"""
    {LOCKED}, part as materialized (
        select image_id, tags, {TAGS_AFTER} as tags_after from locked where {{where}}
    ), changed as (
        update images set tags = tags_after from part
        where images.image_id = part.image_id and tags_after <> part.tags and cardinality(tags_after) <= {MAX_TAGS}
        returning images.image_id
    )
    select
        (select count(*) from part) as images,
        (select count(*) from changed) as changed,
        array(select image_id from part where cardinality(tags_after) > {MAX_TAGS} order by image_id) as failed
"""

DELETE = f"""
    {LOCKED}, part as materialized (
        select image_id from locked where {{where}}
    ), deleted as (
        delete from images using part where images.image_id = part.image_id returning images.image_id
    )
    select
        (select count(*) from part) as images,
        (select count(*) from deleted) as changed,
        '{{{{}}}}'::bigint[] as failed
"""


@dataclass(frozen=True)
class Change:
    """A statement for each part, and its parameters."""

    sql: str
    parameters: Mapping[str, Any]


def retagging(add: list[str], remove: list[str]) -> Change:
    """Return the change that adds and removes tags."""
    return Change(RETAG, {"tags": None, "add_tags": add, "remove_tags": remove})


DELETING = Change(DELETE, {})


@dataclass(frozen=True)
class Part:
    """So many `images` were looked at and `changed`; `failed` are the ids of those that would have too many tags."""

    images: int
    changed: int
    failed: list[int]


@dataclass(frozen=True)
class Extent:
    """What a change is about: the selection as it was at the start, how many images that are, and the first of them."""

    selection: Selection
    images: int
    sample: list[Image]


async def extent(pool: Pool, selection: Selection, sample: int) -> Extent:
    """Look at what the selection means now; images that are stored later do not belong to it."""
    parameters = selection.model_dump() | {"sample": sample}
    (found,) = await pool.query(EXTENT.format(where=where(selection)), parameters)
    rows = await pool.query(SAMPLE.format(where=where(selection)), parameters)
    images = [Image.model_validate(row) for row in rows]
    return Extent(selection.model_copy(update={"before": found.last + 1}), found.images, images)


async def parts(
    pool: Pool, selection: Selection, change: Change, patience: float, *, size: int = MOST
) -> AsyncGenerator[Part, None]:
    """Change the images of the selection, and yield each part once it is committed.

    A database that is away is waited for, `patience` seconds from the first part on. A part that takes too long is done
    in smaller ones. Raises UnavailableError and TooSlowError.
    """
    loop = asyncio.get_running_loop()
    limit: float | None = None
    ids: list[int] = []
    rest = selection
    while True:
        try:
            ids = ids or await _next(pool, rest, PARTS * size)
            if not ids:
                return
            row = await _part(pool, selection, change, ids[:size], patience)
        except TooSlowError:
            if size == 1:
                raise
            size = size // 2
            continue
        except CommitInDoubtError:
            raise
        except UnavailableError:
            if limit is None or loop.time() > limit:
                raise
            await asyncio.sleep(certain.PAUSE)
            continue
        limit = loop.time() + patience
        rest = rest.model_copy(update={"after": ids[:size][-1]})
        ids = ids[size:]
        if row.images:
            yield Part(row.images, row.changed, row.failed)


async def _next(pool: Pool, selection: Selection, most: int) -> list[int]:
    rows = await pool.query(NEXT.format(where=where(selection)), {**selection.model_dump(), "most": most})
    return [row.image_id for row in rows]


async def _part(pool: Pool, selection: Selection, change: Change, ids: list[int], patience: float) -> Any:
    parameters = {**selection.model_dump(), **change.parameters, "part": ids}
    sql = change.sql.format(where=where(selection))
    (row,) = await certain.transaction(pool, lambda connection: connection.query(sql, parameters), patience)
    return row
