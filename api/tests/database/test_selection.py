"""A selection means the same images as SQL as it does in words."""

import json
from itertools import product

from kt_images.database import images
from kt_images.database.selection import ImageQuery
from kt_images.models.images import Order, Selection

TAGS = {1: [], 2: ["a"], 3: ["b"], 4: ["a", "b"], 5: ["b", "c"], 6: ["%", "a,b"], 7: ["a", "b", "c"]}
FILL = "insert into images (tags, filename) select %s::text[], 'x'"

CHOICES = ([], ["a"], ["b", "c"], ["%"], ["a,b"])


def means(selection, image_id, tags):
    return (
        set(selection.tags_all) <= set(tags)
        and (not selection.tags_any or set(selection.tags_any) & set(tags))
        and not set(selection.tags_none) & set(tags)
        and (not selection.untagged or not tags)
        and image_id > selection.after
        and (selection.before is None or image_id < selection.before)
    )


async def test_every_combination_of_filters_selects_the_images_that_match_all_of_them(pool):
    for tags in TAGS.values():
        await pool.query(FILL, (tags,))
    for tags_all, tags_any, tags_none, untagged, after, before, order in product(
        CHOICES, CHOICES, CHOICES, (False, True), (0, 3), (None, 6), Order
    ):
        selection = Selection(
            tags_all=tags_all, tags_any=tags_any, tags_none=tags_none,
            untagged=untagged, after=after, before=before, order=order,
        )  # fmt: skip
        query = ImageQuery(wanted=selection)
        selected = [json.loads(row.document)["image_id"] for row in await pool.query(query.sql, query.parameters)]
        meant = [image_id for image_id, tags in TAGS.items() if means(selection, image_id, tags)]
        assert selected == (meant[::-1] if order is Order.NEWEST else meant)
        assert await images.count(pool, selection) == len(meant)
