"""A selection as SQL: the one condition behind lists, counts, changes of many images and exports."""

from kt_images.models import Selection

# A tag condition applies if the selection names tags of its kind. `@>`: all of them; `&&`: at least one.
TAG_CONDITIONS = {
    "tags_all": "tags @> %(tags_all)s::text[]",
    "tags_any": "tags && %(tags_any)s::text[]",
    "tags_none": "not tags && %(tags_none)s::text[]",
}


def where(selection: Selection) -> str:
    """Return the condition on the rows of `images`, without the word WHERE; its parameters are the model's dump."""
    conditions = ["image_id > %(after)s"]
    conditions += [condition for name, condition in TAG_CONDITIONS.items() if getattr(selection, name)]
    return " and ".join(conditions)
