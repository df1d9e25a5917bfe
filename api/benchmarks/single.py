"""One image at a time: read and stored, by connections that are kept."""

import json
import random
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import client, contestants, data
from benchmarks.contestants import Contestant
from benchmarks.rows import Row, Run, alternate, medians, ratios

READS, CREATIONS = "`GET /images/{id}` per second", "`POST /images` per second"
# Connections, and how many times the peer's requests are to be reached by them.
READING = {1: 1.3, 16: 3, 256: 3}
STORING = {1: 1, 16: 2, 256: 2}
SECONDS = 0.5  # a turn
TURNS = 4  # in each round
REQUESTS = 10_000


def reading(run: Run) -> Iterator[Row]:
    """GET /images/{id} of images drawn by chance."""
    return _against_peer(run, READS, READING, partial(reads, run.images), client.OK)


def storing(run: Run) -> Iterator[Row]:
    """POST /images with five tags, into the table that is there; what was stored is taken away again."""
    try:
        yield from _against_peer(run, CREATIONS, STORING, creations, client.CREATED)
    finally:
        data.forget_after(data.database(run.server, run.images), run.images)


def reads(images: int, below: str = "") -> list[bytes]:
    """Return requests for images drawn by chance."""
    draw = random.Random(images)  # noqa: S311 (no secret)
    return [client.request(f"{below}/images/{draw.randint(1, images)}") for _ in range(REQUESTS)]


def creations(below: str = "") -> list[bytes]:
    """Return requests that create images with five tags."""
    draw = random.Random(REQUESTS)  # noqa: S311 (no secret)
    bodies = [
        {"filename": f"example_{number}.jpg", "tags": [f"tag_{draw.randint(1, data.TAGS)}" for _ in range(5)]}
        for number in range(REQUESTS)
    ]
    return [client.request(f"{below}/images", method="POST", body=json.dumps(body).encode()) for body in bodies]


def _against_peer(
    run: Run, what: str, limits: dict[int, float], requests: Callable[[str], list[bytes]], expected: int
) -> Iterator[Row]:
    dsn = data.database(run.server, run.images)

    def rate(server: Contestant, connections: int, below: str = "") -> Callable[[], float]:
        sent = requests(below)
        return lambda: client.per_second(server.port, sent, expected, connections=connections, seconds=SECONDS)

    with contestants.service(dsn) as service, contestants.peer(dsn) as peer:
        for connections, limit in limits.items():
            rates = alternate(
                {
                    "service": rate(service, connections),
                    "peer": rate(peer, connections),
                    "plain peer": rate(peer, connections, "/plain"),
                },
                run.rounds,
                TURNS,
            )
            ours, peers, _ = rates.values()
            of_many = f"{what}, {connections} connection{'s' if connections > 1 else ''}"
            seen = medians(rates, "per s")
            yield Row(of_many, "the peer", limit, "times as many", ratios(ours, peers), at_least=True, seen=seen)
