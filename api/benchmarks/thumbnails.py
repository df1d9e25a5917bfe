"""Smaller pictures: made when they are asked for, against Pillow alone; and with the upload, against one without."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from benchmarks import client, contestants, forms, pictures, scratch
from benchmarks.rows import Row, Run, alternate, medians, ratios
from benchmarks.scratch import Place

ORIGINALS = 32
WIDTH = 320
CORES = os.cpu_count() or 1
CONNECTIONS = 2 * CORES
TURNS = 2  # in each round
TILES = 60


def made(run: Run) -> Iterator[Row]:
    """Each turn makes one of each original: what the turn before has left in the store is taken away."""
    with (
        scratch.service(run.server) as place,
        ProcessPoolExecutor(CORES, get_context("spawn")) as processes,
        ThreadPoolExecutor(CONNECTIONS) as connections,
    ):
        originals = pictures.photographs(place.folder, ORIGINALS)
        paths = [f"/media/{forms.upload(place.port, path)}/{path.name}?width={WIDTH}" for path in originals]
        rates = alternate(
            {
                "service": lambda: _asked(connections, place, paths),
                "Pillow": lambda: _rate(lambda: list(processes.map(_shrink, originals))),
            },
            run.rounds,
            TURNS,
        )
    megapixels = pictures.PHOTOGRAPH[0] * pictures.PHOTOGRAPH[1] / 10**6
    what = f"smaller pictures per second, {WIDTH} wide, of JPEGs of {megapixels:.0f} megapixels"
    against, unit = f"a bare Pillow loop in {CORES} processes", "times as many"
    yield Row(what, against, 0.9, unit, ratios(*rates.values()), at_least=True, seen=medians(rates, "per s"))


def with_uploads(run: Run) -> Iterator[Row]:
    """What the thumbnails cost an upload, and save the first page that shows them: two services on one store."""
    with (
        scratch.service(run.server) as place,
        contestants.service(place.dsn, place.store, KT_IMAGES_EAGER_WIDTHS="") as without,
        ThreadPoolExecutor(CONNECTIONS) as connections,
    ):
        originals = pictures.photographs(place.folder, ORIGINALS)

        def seconds(port: int) -> float:
            return _seconds(lambda: list(connections.map(forms.upload, repeat(port), originals)))

        uploads = alternate(
            {"with": lambda: seconds(place.port), "without": lambda: seconds(without.port)}, run.rounds, TURNS
        )
        pages: dict[str, list[float]] = {"right after": [], "later": []}
        for _ in range(run.rounds):
            shown = (originals * TILES)[:TILES]
            tiles = list(connections.map(forms.upload, repeat(place.port), shown))
            paths = [f"/media/{tile}/{path.name}?width={WIDTH}" for tile, path in zip(tiles, shown, strict=True)]
            for page in pages.values():
                page.append(_seconds(lambda paths=paths: list(connections.map(client.read, repeat(place.port), paths))))
    what, seen = f"uploads of {ORIGINALS} photographs, with thumbnails of {WIDTH}", medians(uploads, "s")
    yield Row(what, "without thumbnails", 1.15, "of their time", ratios(*uploads.values()), seen=seen)
    what = f"a page of {TILES} tiles, right after their upload"
    yield Row(what, "the same page later", 1.2, "of its time", ratios(*pages.values()), seen=medians(pages, "s"))


def _asked(connections: Executor, place: Place, paths: list[str]) -> float:
    for kept in place.objects.glob(f"*/*.w{WIDTH}.webp"):
        kept.unlink()
    rate = _rate(lambda: list(connections.map(client.read, repeat(place.port), paths)))
    if len(list(place.objects.glob(f"*/*.w{WIDTH}.webp"))) != len(paths):
        raise RuntimeError("The service has not made what it was asked for")
    return rate


def _shrink(path: Path) -> None:
    with Image.open(path) as image:
        image.thumbnail((WIDTH, image.height))
        image.save(path.with_suffix(".webp"), "WEBP")


def _rate(make: Callable[[], object]) -> float:
    return ORIGINALS / _seconds(make)


def _seconds(make: Callable[[], object]) -> float:
    started = time.perf_counter()
    make()
    return time.perf_counter() - started
