"""What it costs to ask each request for a key."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks import client, contestants, data
from benchmarks.rows import Row, Run, alternate, medians, ratios
from benchmarks.single import READS, SECONDS, TURNS, reads

CONNECTIONS = 16


def asked(run: Run) -> Iterator[Row]:
    """GET /images/{id} of a service that asks for keys, and of one that does not."""
    dsn = data.database(run.server, run.images)
    authorization = f"Authorization: Bearer {_key(dsn)}\r\n\r\n".encode()
    plain = reads(run.images)
    with_key = [request.removesuffix(b"\r\n") + authorization for request in plain]
    with contestants.service(dsn) as free, contestants.service(dsn, KT_IMAGES_ACCESS="keys") as guarded:
        per_second = partial(client.per_second, expected=client.OK, connections=CONNECTIONS, seconds=SECONDS)
        rates = alternate(
            {
                "with a key": lambda: per_second(guarded.port, with_key),
                "without": lambda: per_second(free.port, plain),
            },
            run.rounds,
            TURNS,
        )
    what = f"{READS}, {CONNECTIONS} connections, keys required"
    compared = ratios(*rates.values())
    yield Row(what, "without keys", 0.95, "times as many", compared, at_least=True, seen=medians(rates, "per s"))


def _key(dsn: str) -> str:
    command = [
        sys.executable,
        "-m",
        "kt_images.manage.keys",
        "--postgres_dsn",
        dsn,
        "create",
        "bench",
        "--scopes",
        "read",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
