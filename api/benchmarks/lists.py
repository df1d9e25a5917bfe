"""The list of images: whole, filtered, its first byte, and ten times as many."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

from benchmarks import client, contestants, data, limits
from benchmarks.contestants import Contestant
from benchmarks.data import SELDOM_MET
from benchmarks.rows import Row, Run, alternate, medians, ratios

DOCUMENTS = "select document from images {where} order by image_id"
RENDERED = "select row_to_json(image) from (select image_id, filename, tags from images order by image_id) image"

# Name, query string, and the same as SQL.
FILTERS = (
    ("the most common tag", "tag=tag_1", "tags @> '{tag_1}'"),
    ("a frequent tag", "tag=tag_3", "tags @> '{tag_3}'"),
    ("a middling tag", "tag=tag_100", "tags @> '{tag_100}'"),
    ("a rare tag", "tag=tag_25000", "tags @> '{tag_25000}'"),
    ("all of two", "tags_all=tag_1&tags_all=tag_2", "tags @> '{tag_1,tag_2}'"),
    ("any of three", "tags_any=tag_2&tags_any=tag_50&tags_any=tag_5000", "tags && '{tag_2,tag_50,tag_5000}'"),
    ("any of two rare ones", "tags_any=tag_20000&tags_any=tag_30000", "tags && '{tag_20000,tag_30000}'"),
    ("none of two", "tags_none=tag_1&tags_none=tag_2", "not tags && '{tag_1,tag_2}'"),
    (
        "two frequent that seldom meet",
        f"tags_all={SELDOM_MET[0]}&tags_all={SELDOM_MET[1]}",
        f"tags @> '{{{','.join(SELDOM_MET)}}}'",
    ),
    (
        "all, any and none at once",
        "tags_all=tag_1&tags_any=tag_6&tags_any=tag_7&tags_none=tag_2",
        "tags @> '{tag_1}' and tags && '{tag_6,tag_7}' and not tags && '{tag_2}'",
    ),
)

FIRST_BYTES = (("unfiltered", "/images"), ("for the most common tag", "/images?tag=tag_1"))
PAGE = "limit=60&order=newest"
PAGES = (
    ("unfiltered", f"/images?{PAGE}"),
    ("of the most common tag", f"/images?tag=tag_1&{PAGE}"),
    ("of a rare tag", f"/images?tag=tag_25000&{PAGE}"),
    ("of two frequent tags that seldom meet", f"/images?tags_all={SELDOM_MET[0]}&tags_all={SELDOM_MET[1]}&{PAGE}"),
)
EMPTY = "/images?tag=no_such_tag"
SHORT_TURNS = 10  # in each round, as one takes milliseconds

GROWTH = 10


def whole(run: Run) -> Iterator[Row]:
    """The whole list, against PostgreSQL alone and against the peer."""
    dsn = data.database(run.server, run.images)
    with contestants.service(dsn) as service, contestants.peer(dsn) as peer, closing(limits.Psql(dsn)) as psql:
        seconds = alternate(
            {
                "service": _reading(service, "/images", run.images),
                "COPY of row_to_json": lambda: psql.copy(RENDERED),
                "COPY of the documents": lambda: psql.copy(DOCUMENTS.format(where="")),
                "peer": _reading(peer, "/images", run.images),
                "plain peer": _reading(peer, "/plain/images", run.images),
            },
            run.rounds,
        )
    ours, rendered, documents, peers, plain = seconds.values()
    what, seen = f"the whole list, {run.images:,} images", medians(seconds, "s")
    yield Row(what, "COPY of `row_to_json`", 0.45, "of its time", ratios(ours, rendered), seen=seen)
    yield Row(what, "COPY of the stored documents", 1.3, "of its time", ratios(ours, documents), seen=seen)
    yield Row(what, "the peer", 2.5, "times as fast", ratios(peers, ours), at_least=True, seen=seen)
    yield Row(
        what,
        "the plain peer",
        2.5,
        "times as fast",
        ratios(plain, ours),
        at_least=True,
        seen=seen,
    )


def filtered(run: Run) -> Iterator[Row]:
    """Ten filters, each against COPY of the same query.

    A handful of images is copied in less time than any request takes: an empty list's time is added to COPY's.
    """
    dsn = data.database(run.server, run.images)
    with contestants.service(dsn) as service, closing(limits.Psql(dsn)) as psql:
        for name, query, conditions in FILTERS:
            images = data.count(dsn, conditions)
            copied = DOCUMENTS.format(where=f"where {conditions}")
            seconds = alternate(
                {
                    "service": _reading(service, f"/images?{query}", images),
                    "COPY": lambda copied=copied: psql.copy(copied),  # type: ignore[misc]
                    "empty list": _reading(service, EMPTY, 0),
                },
                run.rounds,
            )
            ours, copies, empty = seconds.values()
            values = ratios(ours, [sum(both) for both in zip(copies, empty, strict=True)])
            what = f"filter: {name}, {images:,} of {run.images:,} images"
            yield Row(
                what,
                "COPY of the same query, and an empty list",
                1.25,
                "of its time",
                values,
                seen=medians(seconds, "s"),
            )


def first_byte(run: Run) -> Iterator[Row]:
    """How much longer than for an empty list the first byte takes."""
    dsn = data.database(run.server, run.images)
    with contestants.service(dsn) as service:
        empty = _first_byte(service, EMPTY)
        for name, path in FIRST_BYTES:
            turns = alternate({"list": _first_byte(service, path), "empty list": empty}, run.rounds, SHORT_TURNS)
            more = [ours - theirs for ours, theirs in zip(*turns.values(), strict=True)]
            what = f"time to first byte, {name}, {run.images:,} images"
            yield Row(what, "an empty list", 10, "ms more", more, seen=medians(turns, "ms"))


def newest(run: Run) -> Iterator[Row]:
    """How much longer than an empty list the first page takes, newest first."""
    dsn = data.database(run.server, run.images)
    with contestants.service(dsn) as service:
        for name, path in PAGES:
            turns = alternate(
                {"page": _page(service, path), "empty list": _page(service, EMPTY)}, run.rounds, SHORT_TURNS
            )
            more = [ours - theirs for ours, theirs in zip(*turns.values(), strict=True)]
            what = f"the newest 60, {name}, {run.images:,} images"
            yield Row(what, "an empty list", 10, "ms more", more, seen=medians(turns, "ms"))


def growth(run: Run) -> Iterator[Row]:
    """Ten times the images: ten times the time, and a little."""
    sizes = (run.images * GROWTH, run.images)
    with ExitStack() as stack:
        turns: dict[str, Callable[[], float]] = {}
        for images in sizes:
            service = stack.enter_context(contestants.service(data.database(run.server, images)))
            turns[f"{images:,} images"] = _reading(service, "/images", images)
        seconds = alternate(turns, run.rounds)
    what = f"the whole list, {sizes[0]:,} images"
    yield Row(
        what, f"{sizes[1]:,} images", 11, "times their time", ratios(*seconds.values()), seen=medians(seconds, "s")
    )


def _reading(server: Contestant, path: str, images: int) -> Callable[[], float]:
    return lambda: client.read_list(server.port, path, images)


def _first_byte(server: Contestant, path: str) -> Callable[[], float]:
    return lambda: client.first_byte(server.port, path) * 1000


def _page(server: Contestant, path: str) -> Callable[[], float]:
    return lambda: client.read(server.port, path) * 1000
