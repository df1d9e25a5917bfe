"""A selection as SQL: the one condition behind lists, counts, changes of many images and exports."""

from typing import Any, Self

from pydantic import BaseModel

from kt_images.models.images import Image, Order, Selection

# Each applies if the selection has something of its kind. `@>`: all of the tags; `&&`: at least one.
CONDITIONS = {
    "image_ids": "image_id = any(%(image_ids)s)",
    "tags_all": "tags @> %(tags_all)s::text[]",
    "tags_any": "tags && %(tags_any)s::text[]",
    "tags_none": "not tags && %(tags_none)s::text[]",
    "untagged": "tags = '{}'",
    "before": "image_id < %(before)s",
}

ORDERS = {Order.OLDEST: "image_id", Order.NEWEST: "image_id desc"}

SELECT = "select document from images where {where} order by {order} limit %(limit)s"


def where(selection: Selection) -> str:
    """Return the condition on the rows of `images`, without the word WHERE; its parameters are the model's dump."""
    conditions = ["image_id > %(after)s"]
    conditions += [condition for name, condition in CONDITIONS.items() if getattr(selection, name)]
    return " and ".join(conditions)


class ImageQuery(BaseModel):
    """The images of a selection, as a stream reads them: the documents that are stored beside their columns."""

    wanted: Selection

    @property
    def sql(self) -> str:
        return SELECT.format(where=where(self.wanted), order=ORDERS[self.wanted.order])

    @property
    def parameters(self) -> dict[str, Any]:
        return self.wanted.model_dump()

    def rest(self, document: str, count: int) -> Self:
        """Return what is left after so many images, of which this is the last."""
        wanted = self.wanted
        # PostgreSQL plans for a limit's rows, however many, instead of the cursor's first steps: none must stay none.
        limit = None if wanted.limit is None else wanted.limit - count
        bound = "after" if wanted.order is Order.OLDEST else "before"
        last = Image.model_validate_json(document).image_id
        return self.model_copy(update={"wanted": wanted.model_copy(update={bound: last, "limit": limit})})
