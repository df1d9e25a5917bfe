"""Files of a bucket, through the service and by a bare client of the same server."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import obstore
from obstore.store import S3Store

from benchmarks import downloads, forms, pictures, scratch, seaweed
from benchmarks.contestants import KEPT
from benchmarks.rows import Row, Run, alternate, medians, ratios

# Bytes, connections, how many files are moved in a turn, and turns in each round.
FILES = (("300 KB", 300_000, 16, 96, 3), ("50 MB", 50_000_000, 4, 4, 1))
LEAST = 0.8
SECONDS = 2.0  # a turn of the downloads
PART = 8 * 2**20


def kept(run: Run) -> Iterator[Row]:
    """Uploads until they are stored, without thumbnails; and downloads. The service decodes what it takes besides."""
    with (
        tempfile.TemporaryDirectory(dir=KEPT) as folder,
        seaweed.serving(Path(folder) / "seaweed") as endpoint,
        scratch.service(
            run.server,
            KT_IMAGES_STORE=f"s3://{seaweed.BUCKET}/service",
            KT_IMAGES_STORE_ENDPOINT=endpoint,
            KT_IMAGES_STORE_REGION=seaweed.REGION,
            KT_IMAGES_EAGER_WIDTHS="",
            **seaweed.CREDENTIALS,
        ) as place,
    ):
        store = seaweed.bare(endpoint)
        for name, size, connections, files, turns in FILES:
            path = pictures.bitmap(place.folder / f"{size}.bmp", size)
            with ThreadPoolExecutor(connections) as threads:
                uploads = {
                    "service": _moving(threads, files, size, lambda path=path: forms.upload(place.port, path)),
                    "client": _moving(threads, files, size, lambda path=path: _put(store, path)),
                }
                rates = alternate(uploads, run.rounds, turns)
            of_file = f"{name}, {connections} connections"
            yield _row(f"upload to a bucket, {of_file}", rates)
            image_id = forms.upload(place.port, path)
            with ThreadPoolExecutor(connections) as threads:
                reading = {
                    "service": _rate(place.port, f"/media/{image_id}/{path.name}", connections),
                    "client": _moving(threads, 4 * files, size, lambda path=path: _get(store, path.name)),
                }
                rates = alternate(reading, run.rounds, turns)
            yield _row(f"`/media` of a bucket, {of_file}", rates)


def _row(what: str, rates: dict[str, list[float]]) -> Row:
    against, unit = "a bare client of the same server", "of its throughput"
    return Row(what, against, LEAST, unit, ratios(*rates.values()), at_least=True, seen=medians(rates, "MB/s"))


def _moving(threads: ThreadPoolExecutor, files: int, size: int, move: Callable[[], object]) -> Callable[[], float]:
    """How many megabytes a second are moved when all threads do it, until so many files are."""

    def moved() -> float:
        started = time.perf_counter()
        for _ in threads.map(lambda _: move(), repeat(None, files)):
            pass
        return files * size / 10**6 / (time.perf_counter() - started)

    return moved


def _put(store: S3Store, path: Path) -> None:
    if path.stat().st_size <= PART:
        obstore.put(store, path.name, path.read_bytes(), use_multipart=False)
    else:
        obstore.put(store, path.name, path, use_multipart=True, chunk_size=PART, max_concurrency=2)


def _get(store: S3Store, name: str) -> None:
    obstore.get(store, name).bytes()


def _rate(port: int, path: str, connections: int) -> Callable[[], float]:
    return lambda: downloads.megabytes_per_second(port, path, connections=connections, seconds=SECONDS)
