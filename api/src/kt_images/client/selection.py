"""The filters of a list: which images are meant. An image must match all of them."""

from collections.abc import Iterable
from typing import Any, Literal, TypedDict


class Filters(TypedDict, total=False):
    """Each filter by tags takes one tag or several. A tag may contain commas: several are several values."""

    tag: str | Iterable[str]
    """Images with this tag; with several, the same as `tags_all`."""
    tags_all: str | Iterable[str]
    """Images with all of these tags."""
    tags_any: str | Iterable[str]
    """Images with at least one of these tags."""
    tags_none: str | Iterable[str]
    """Images with none of these tags."""
    untagged: bool
    """If true, images without any tag."""
    after: int
    """Images with a greater `image_id`."""
    before: int
    """Images with a smaller `image_id`."""
    order: Literal["oldest", "newest"]
    """By ascending `image_id`, as without it, or by descending."""
    limit: int
    """At most this many images."""


def query(filters: Filters) -> list[tuple[str, str]]:
    """Return the filters as the parameters of a query string. Raises TypeError for an unknown filter."""
    if unknown := set(filters) - set(Filters.__annotations__):
        raise TypeError(f"There is no filter {min(unknown)!r}; there are {', '.join(Filters.__annotations__)}")
    return [(name, value) for name, values in filters.items() for value in _texts(values)]


def _texts(values: Any) -> Iterable[str]:
    if isinstance(values, bool):
        return ["true"] if values else []
    return [str(values)] if isinstance(values, str | int) else values
