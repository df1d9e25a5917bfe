"""Changes of many images, in parts: each a transaction of its own, so that nobody waits longer than for one part.

Images are locked in the order of their ids: two changes of the same images wait for each other, and never for ever. A
part ends with what it did, and the next begins after its last image. What is counted is what was done, also when a
session is lost.
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

# Images of a part at most.
MOST = 1000

# Ids that images get from now on are not part of it: it ends, however many are stored meanwhile.
EXTENT = "select count(*) as images, coalesce(max(image_id), 0) as last from images where {where}"

SAMPLE = "select image_id, filename, tags from images where {where} order by image_id limit %(sample)s"

# Of rows that others change at the same time, the newest state is locked and changed.
RETAG = f"""
    with part as materialized (
        select image_id, tags, {TAGS_AFTER} as tags_after
        from images where {{where}} order by image_id limit %(size)s for update
    ), changed as (
        update images set tags = tags_after from part
        where images.image_id = part.image_id and tags_after <> part.tags and cardinality(tags_after) <= {MAX_TAGS}
        returning images.image_id
    )
    select
        (select count(*) from part) as images,
        (select max(image_id) from part) as last,
        (select count(*) from changed) as changed,
        array(select image_id from part where cardinality(tags_after) > {MAX_TAGS} order by image_id) as failed
"""

DELETE = """
    with part as materialized (
        select image_id from images where {where} order by image_id limit %(size)s for update
    ), deleted as (
        delete from images using part where images.image_id = part.image_id returning images.image_id
    )
    select
        (select count(*) from part) as images,
        (select max(image_id) from part) as last,
        (select count(*) from deleted) as changed,
        '{{}}'::bigint[] as failed
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
    while True:
        try:
            row = await _part(pool, selection, change, size, patience)
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
        if row.images:
            yield Part(row.images, row.changed, row.failed)
            selection = selection.model_copy(update={"after": row.last})
        if row.images < size:
            return


async def _part(pool: Pool, selection: Selection, change: Change, size: int, patience: float) -> Any:
    parameters = {**selection.model_dump(), **change.parameters, "size": size}
    sql = change.sql.format(where=where(selection))
    (row,) = await certain.transaction(pool, lambda connection: connection.query(sql, parameters), patience)
    return row
