"""A selection as SQL: the one condition behind lists, counts, changes of many images and exports."""

from kt_images.models import Order, Selection

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


def where(selection: Selection) -> str:
    """Return the condition on the rows of `images`, without the word WHERE; its parameters are the model's dump."""
    conditions = ["image_id > %(after)s"]
    conditions += [condition for name, condition in CONDITIONS.items() if getattr(selection, name)]
    return " and ".join(conditions)


def order_by(selection: Selection) -> str:
    """Return the order of the rows, without the words ORDER BY."""
    return ORDERS[selection.order]


def rest(selection: Selection, last: int, count: int) -> Selection:
    """Return what is left of the selection after its first `count` images, which end with the image `last`."""
    # PostgreSQL plans for a limit's rows, however many, instead of the cursor's first steps: no limit must stay none.
    limit = None if selection.limit is None else selection.limit - count
    bound = "after" if selection.order is Order.OLDEST else "before"
    return selection.model_copy(update={bound: last, "limit": limit})
