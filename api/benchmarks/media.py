"""Files read back, against nginx: it does nothing but have the kernel send them."""

from collections.abc import Callable, Iterator

from benchmarks import downloads, forms, nginx, pictures, scratch
from benchmarks.rows import Row, Run, alternate, medians, ratios

# Bytes, connections, and what is to be reached.
FILES = (("300 KB", 300_000, 16, 0.5), ("50 MB", 50_000_000, 4, 0.9))
SECONDS = 1.0  # a turn
TURNS = 3  # in each round


def served(run: Run) -> Iterator[Row]:
    """The same files by both, each by several connections that are kept."""
    with scratch.service(run.server) as place, nginx.serving(place.folder, place.folder / "nginx") as port:
        for name, size, connections, limit in FILES:
            path = pictures.bitmap(place.folder / f"{size}.bmp", size)
            image_id = forms.upload(place.port, path)
            rates = alternate(
                {
                    "service": _rate(place.port, f"/media/{image_id}/{path.name}", connections),
                    "nginx": _rate(port, f"/{path.name}", connections),
                },
                run.rounds,
                TURNS,
            )
            what, unit = f"`/media`, {name}, {connections} connections", "of its throughput"
            yield Row(what, "nginx", limit, unit, ratios(*rates.values()), at_least=True, seen=medians(rates, "MB/s"))


def _rate(port: int, path: str, connections: int) -> Callable[[], float]:
    return lambda: downloads.megabytes_per_second(port, path, connections=connections, seconds=SECONDS)
