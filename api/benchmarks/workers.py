"""One, two and four workers, each with its share of the same limits."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from benchmarks import client, contestants, data
from benchmarks.contestants import Contestant
from benchmarks.rows import Row, Run, alternate, medians, ratios
from benchmarks.single import CREATIONS, READS, SECONDS, TURNS, creations, reads

CONNECTIONS = 16, 64
# Workers, and how many times the requests of one they are to answer on two cores, of which the client needs its part.
SEVERAL = {2: 1.2, 4: 1}


def serving(run: Run) -> Iterator[Row]:
    """GET /images/{id} and POST /images; what was stored is taken away again."""
    dsn = data.database(run.server, run.images)
    with ExitStack() as stack:
        services = {
            number: stack.enter_context(contestants.service(dsn, KT_IMAGES_WORKERS=str(number)))
            for number in (1, *SEVERAL)
        }
        try:
            for connections in CONNECTIONS:
                yield from _compared(run, READS, services, reads(run.images), client.OK, connections)
                yield from _compared(run, CREATIONS, services, creations(), client.CREATED, connections)
        finally:
            data.forget_after(dsn, run.images)


def _compared(
    run: Run, what: str, services: dict[int, Contestant], requests: list[bytes], expected: int, connections: int
) -> Iterator[Row]:
    def rate(service: Contestant) -> Callable[[], float]:
        return lambda: client.per_second(service.port, requests, expected, connections=connections, seconds=SECONDS)

    contenders = {_named(number): rate(service) for number, service in services.items()}
    rates = alternate(contenders, run.rounds, TURNS)
    for number, limit in SEVERAL.items():
        of_several = f"{what}, {connections} connections, {number} workers"
        ratio = ratios(rates[_named(number)], rates[_named(1)])
        yield Row(of_several, "one worker", limit, "times as many", ratio, at_least=True, seen=medians(rates, "per s"))


def _named(number: int) -> str:
    return f"{number} worker{'s' if number > 1 else ''}"
