"""One image at a time: read and stored, by connections that are kept."""

import json
import random
from collections.abc import Iterator, Sequence

from benchmarks import client, contestants, data
from benchmarks.contestants import Contestant
from benchmarks.rows import Row, Run, alternate, medians, ratios

CONNECTIONS = 16
SECONDS = 3.0
REQUESTS = 10_000


def reading(run: Run) -> Iterator[Row]:
    """GET /images/{id} of images drawn by chance."""
    draw = random.Random(run.images)  # noqa: S311 (no secret)
    requests = [client.request(f"/images/{draw.randint(1, run.images)}") for _ in range(REQUESTS)]
    yield _against_peer(run, "`GET /images/{id}` per second", 2.5, requests, client.OK)


def storing(run: Run) -> Iterator[Row]:
    """POST /images with five tags, into the table that is there; what was stored is taken away again."""
    draw = random.Random(run.images)  # noqa: S311 (no secret)
    bodies = [
        {"filename": f"example_{number}.jpg", "tags": [f"tag_{draw.randint(1, data.TAGS)}" for _ in range(5)]}
        for number in range(REQUESTS)
    ]
    requests = [client.request("/images", method="POST", body=json.dumps(body).encode()) for body in bodies]
    try:
        yield _against_peer(run, "`POST /images` per second", 1.3, requests, client.CREATED)
    finally:
        data.forget_after(data.database(run.server, run.images), run.images)


def _against_peer(run: Run, what: str, limit: float, requests: Sequence[bytes], expected: int) -> Row:
    dsn = data.database(run.server, run.images)

    def rate(server: Contestant) -> float:
        return client.per_second(server.port, requests, expected, connections=CONNECTIONS, seconds=SECONDS)

    with contestants.service(dsn) as service, contestants.peer(dsn) as peer:
        rates = alternate({"service": lambda: rate(service), "peer": lambda: rate(peer)}, run.rounds)
    against = f"the peer, {CONNECTIONS} connections"
    return Row(
        what, against, limit, "times as many", ratios(*rates.values()), at_least=True, seen=medians(rates, "per s")
    )
