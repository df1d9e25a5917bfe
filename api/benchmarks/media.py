"""Files read back, against nginx: it does nothing but have the kernel send them."""

import hashlib
from collections.abc import Callable, Iterator

from benchmarks import downloads, forms, nginx, pictures, scratch
from benchmarks.rows import Row, Run, alternate, medians, ratios

# Bytes, connections, and what is to be reached straight and through a cache.
FILES = (("300 KB", 300_000, 16, 0.2, 0.9), ("50 MB", 50_000_000, 4, 0.9, 0.9))
SECONDS = 1.0  # a turn
TURNS = 3  # in each round


def served(run: Run) -> Iterator[Row]:
    """The same files by both, each by several connections that are kept; then by nginx out of its cache of ours."""
    with (
        scratch.service(run.server) as place,
        nginx.serving(place.folder, place.port, place.folder / "nginx") as port,
    ):
        for name, size, connections, straight, cached in FILES:
            path = pictures.bitmap(place.folder / f"{size}.bmp", size)
            image_id = forms.upload(place.port, path)
            unchanging = f"/media/{image_id}/{path.name}?sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"
            rates = alternate(
                {
                    "service": _rate(place.port, f"/media/{image_id}/{path.name}", connections),
                    "through nginx's cache": _rate(port, unchanging, connections),
                    "nginx": _rate(port, f"/{path.name}", connections),
                },
                run.rounds,
                TURNS,
            )
            ours, through, plain = rates.values()
            unit, seen = "of its throughput", medians(rates, "MB/s")
            of_file = f"{name}, {connections} connections"
            yield Row(f"`/media`, {of_file}", "nginx", straight, unit, ratios(ours, plain), at_least=True, seen=seen)
            what = f"`/media?sha256=` through nginx with a warm cache, {of_file}"
            yield Row(what, "nginx", cached, unit, ratios(through, plain), at_least=True, seen=seen)


def _rate(port: int, path: str, connections: int) -> Callable[[], float]:
    return lambda: downloads.megabytes_per_second(port, path, connections=connections, seconds=SECONDS)
