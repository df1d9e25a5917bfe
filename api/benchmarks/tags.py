"""Tags: how soon a beginning is completed, and what their exact numbers cost those who store images."""

import json
import random
import time
from collections.abc import Callable, Iterator

from benchmarks import client, contestants, data
from benchmarks.contestants import Contestant
from benchmarks.lists import EMPTY, SHORT_TURNS
from benchmarks.rows import Row, Run, alternate, medians, ratios

COMPLETIONS = (
    ("a few letters", "/tags?prefix=tag_12&order=images&limit=20"),
    ("of which all begin so", "/tags?prefix=tag_&order=images&limit=20"),
)
UNCOUNTED = "select count(*) from tag_changes"
COUNTING_SECONDS = 60.0

CONNECTIONS = 16
SECONDS = 2.0  # a turn, in which the changes are folded in twice
REQUESTS = 10_000


def completing(run: Run) -> Iterator[Row]:
    """How much longer than an empty list it takes to complete a tag."""
    dsn = data.database(run.server, run.images)
    with contestants.service(dsn) as service:
        _wait_until_counted(dsn)
        for name, path in COMPLETIONS:
            turns = alternate(
                {"tags": _reading(service, path), "empty list": _reading(service, EMPTY)}, run.rounds, SHORT_TURNS
            )
            more = [ours - theirs for ours, theirs in zip(*turns.values(), strict=True)]
            what = f"a tag completed, {name}, {data.TAGS:,} tags"
            yield Row(what, "an empty list", 5, "ms more", more, seen=medians(turns, "ms"))


def counted(run: Run) -> Iterator[Row]:
    """POST /images by many connections into a table that grows, with the triggers that count tags and without."""
    draw = random.Random(run.images)  # noqa: S311 (no secret)
    bodies = [
        {"filename": f"example_{number}.jpg", "tags": [f"tag_{draw.randint(1, data.TAGS)}" for _ in range(5)]}
        for number in range(REQUESTS)
    ]
    requests = [client.request("/images", method="POST", body=json.dumps(body).encode()) for body in bodies]
    with data.empty(run.server) as dsn, contestants.service(dsn) as service:

        def storing(trigger: str) -> float:
            data.execute(dsn, f"alter table images {trigger} trigger user")
            _wait_until_counted(dsn)
            return client.per_second(service.port, requests, client.CREATED, connections=CONNECTIONS, seconds=SECONDS)

        rates = alternate({"with": lambda: storing("enable"), "without": lambda: storing("disable")}, run.rounds)
    what = f"`POST /images` per second with tags counted, {CONNECTIONS} connections"
    values = ratios(*rates.values())
    yield Row(what, "not counted", 0.9, "times as many", values, at_least=True, seen=medians(rates, "per s"))


def _reading(server: Contestant, path: str) -> Callable[[], float]:
    return lambda: client.read(server.port, path) * 1000


def _wait_until_counted(dsn: str) -> None:
    deadline = time.monotonic() + COUNTING_SECONDS
    while data.value(dsn, UNCOUNTED):
        if time.monotonic() > deadline:
            raise RuntimeError("The service does not bring the counts of tags up to date")
        time.sleep(0.1)
