"""Tags: on how many images each is, exactly. See the tables in `fixtures/01_ddl.sql`."""

from typing import Any, Self

from pydantic import BaseModel

from kt_images.database.connection import Queryable
from kt_images.database.pool import Pool
from kt_images.models.tags import TagCount, TagOrder, TagSelection

# Each kind of condition applies if the selection has something of it.
CONDITIONS = {
    "tag": "tag = any(%(tag)s)",
    "prefix": "folded(tag) like folded(%(prefix)s)",
    "contains": "folded(tag) like folded(%(contains)s)",
    "after": "tag > %(after)s",
}

# What was last counted, and what has changed since, in one snapshot.
SUMS = """
    select tag, sum(images) as images
    from (
        select tag, images from tag_counts where {where}
        union all
        select tag, images from tag_changes where {where}
    ) as counted
    group by tag
"""

# The braces are doubled, as the whole is a format.
DOCUMENT = """'{{"tag":' || to_json(tag) || ',"images":' || images || '}}'"""

SELECT = f"""
    select {DOCUMENT} as document from ({SUMS}) as sums
    where images > 0
    order by {{order}} limit %(limit)s
"""

ORDERS = {TagOrder.NAME: "tag", TagOrder.IMAGES: "images desc, tag"}

COUNT = SUMS.format(where="tag = %(tag)s")

# Brings the counts up to date with some changes. One process at a time; the others have nothing to do meanwhile.
TRY_LOCK = "select pg_try_advisory_xact_lock(5046820213) as is_ours"
FOLD = """
    with taken as (
        delete from tag_changes where ctid = any(array(select ctid from tag_changes limit %(most)s))
        returning tag, images
    ), summed as (
        select tag, sum(images) as images, count(*) as changes from taken group by tag order by tag
    ), kept as (
        insert into tag_counts (tag, images) select tag, images from summed
        on conflict (tag) do update set images = tag_counts.images + excluded.images
        returning tag, images
    )
    select (select coalesce(sum(changes), 0) from summed)::bigint as changes,
        array(select tag from kept where images = 0) as gone
"""
FORGET = "delete from tag_counts where tag = any(%(gone)s) and images = 0"
# Else the places of changes that are gone would be read with each question.
PENDING = "select count(*) as changes from (select from tag_changes limit %(most)s) as found"
VACUUM = "vacuum (truncate off) tag_changes"

WRONG = f"""
    select tag, coalesce(truth.images, 0) - coalesce(sums.images, 0) as images
    from ({SUMS.format(where="true")}) as sums
    full join (
        select tag collate "C" as tag, count(*) as images from images, unnest(tags || ''::text) as tag group by tag
    ) as truth using (tag)
    where coalesce(truth.images, 0) <> coalesce(sums.images, 0)
"""
# One at a time: the same correction twice would be another error.
LOCK_REPAIR = "select pg_advisory_xact_lock(5046820214)"
# Everything in one snapshot: who changes images meanwhile adds their own changes.
REPAIR = f"insert into tag_changes {WRONG}"


class TagQuery(BaseModel):
    """The tags of a selection, as a stream reads them; by number of images, in one go."""

    wanted: TagSelection

    @property
    def sql(self) -> str:
        wanted = self.wanted
        where = " and ".join(
            ["tag <> ''", *(sql for name, sql in CONDITIONS.items() if getattr(wanted, name) is not None)]
        )
        return SELECT.format(where=where, order=ORDERS[wanted.order])

    @property
    def parameters(self) -> dict[str, Any]:
        patterns = {"prefix": f"{_escaped(self.wanted.prefix)}%", "contains": f"%{_escaped(self.wanted.contains)}%"}
        return self.wanted.model_dump() | patterns

    def rest(self, document: str, count: int) -> Self:
        """Return what is left, by name, after so many tags, of which this is the last."""
        limit = None if self.wanted.limit is None else self.wanted.limit - count
        after = TagCount.model_validate_json(document).tag
        return self.model_copy(update={"wanted": self.wanted.model_copy(update={"after": after, "limit": limit})})


def _escaped(text: str | None) -> str:
    return "".join(f"\\{character}" if character in r"\%_" else character for character in text or "")


async def count(db: Queryable, tag: str) -> int:
    """Return how many images have the tag; without one, how many there are."""
    rows = await db.query(COUNT, {"tag": tag})
    return int(rows[0].images) if rows else 0


async def fold(pool: Pool, most: int) -> int:
    """Bring the counts up to date with `most` changes at most; return with how many."""
    async with pool.transaction() as connection:
        if not (await connection.query(TRY_LOCK))[0].is_ours:
            return 0
        (folded,) = await connection.query(FOLD, {"most": most})
        if folded.gone:
            await connection.query(FORGET, {"gone": folded.gone})
    return int(folded.changes)


async def pending(db: Queryable, most: int) -> int:
    """Return how many changes the counts lack, of `most` at most."""
    return int((await db.query(PENDING, {"most": most}))[0].changes)


async def tidy(db: Queryable) -> None:
    """Give back the room of changes that are gone."""
    await db.query(VACUUM)


async def wrong(db: Queryable) -> dict[str, int]:
    """Compare the counts with the images: return for each wrong one what it lacks. The empty tag means all images."""
    return {row.tag: int(row.images) for row in await db.query(f"{WRONG} order by tag")}


async def repair(pool: Pool) -> None:
    """Correct the counts that are wrong, also while images are changed or another process repairs them."""
    async with pool.transaction() as connection:
        await connection.query(LOCK_REPAIR)
        await connection.query(REPAIR)
