"""Which images a call is about: those that match all filters of a list, or many that are to be changed."""

from collections.abc import Iterable
from typing import Any, Literal, TypedDict, cast, get_type_hints


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


class Many(Filters, total=False):
    """Which images a change is about: filters, `image_ids` or `all`, by one of these; and its guards."""

    image_ids: Iterable[int]
    """These images, 10,000 at most, in the place of filters."""
    all: bool
    """If true, every image, in the place of filters."""
    dry_run: bool
    """If true, nothing is changed; the outcome has the number of images and a sample of them."""
    expected: int
    """How many images it should be: if it is another number, RefusedError is raised and nothing is changed."""


def query(filters: Filters) -> list[tuple[str, str]]:
    """Return the filters as the parameters of a query string. Raises TypeError for an unknown filter."""
    return _query(dict(filters), Filters)


def parted(many: Many) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Return what belongs in the query string, and the ids, which belong in the body. Raises TypeError."""
    given = dict(many)
    ids = given.pop("image_ids", None)
    return _query(given, Many), {} if ids is None else {"image_ids": list(cast("Iterable[int]", ids))}


def _query(given: dict[str, Any], known: type[Filters]) -> list[tuple[str, str]]:
    names = get_type_hints(known)
    if unknown := set(given) - set(names):
        raise TypeError(f"There is no filter {min(unknown)!r}; there are {', '.join(names)}")
    return [(name, value) for name, values in given.items() for value in _texts(values)]


def _texts(values: Any) -> Iterable[str]:
    if isinstance(values, bool):
        return ["true"] if values else []
    return [str(values)] if isinstance(values, str | int) else values
