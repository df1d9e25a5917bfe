"""`python -m benchmarks`: measure the service beside its peers, print the ratios, renew README.md."""

import argparse
import os
from collections.abc import Callable, Iterable

from benchmarks import (
    buckets,
    commands,
    data,
    gallery,
    keys,
    lists,
    many,
    media,
    memory,
    readers,
    report,
    single,
    tags,
    thumbnails,
    uploads,
    workers,
)
from benchmarks.contestants import KEPT
from benchmarks.rows import LeftOutError, Row, Run
from kt_images.database import embedded

IMAGES = 1_000_000
ROUNDS = 5

MEASUREMENTS: dict[str, Callable[[Run], Iterable[Row]]] = {
    "list": lists.whole,
    "filters": lists.filtered,
    "first-byte": lists.first_byte,
    "newest": lists.newest,
    "growth": lists.growth,
    "memory": memory.streaming,
    "get": single.reading,
    "post": single.storing,
    "keys": keys.asked,
    "workers": workers.serving,
    "import": many.importing,
    "change": many.changing,
    "tags": tags.completing,
    "counts": tags.counted,
    "readers": readers.slow,
    "upload": uploads.large,
    "upload-memory": uploads.filling,
    "upload-small": uploads.small,
    "media": media.served,
    "thumbnails": thumbnails.made,
    "eager": thumbnails.with_uploads,
    "bucket": buckets.kept,
    "gallery": gallery.opened,
    "gallery-scroll": gallery.scrolled,
    "cli-add": commands.adding,
    "cli-list": commands.listing,
}


def main() -> None:
    """Measure what the arguments name. Results of fewer images than the targets speak of are only printed."""
    arguments = _arguments()
    KEPT.mkdir(parents=True, exist_ok=True)
    with embedded.running(KEPT / "db") as server:
        run = Run(arguments.images, arguments.rounds, server)
        measured = {}
        for name in arguments.measurements or MEASUREMENTS:
            print(f"\n{name}, at a load of {os.getloadavg()[0]:.1f}", flush=True)
            try:
                measured[name] = list(MEASUREMENTS[name](run))
            except LeftOutError as error:
                print(f"left out: {error}", flush=True)
            else:
                print(report.table(measured[name]), flush=True)
        if run.images == IMAGES and run.rounds >= ROUNDS:
            report.write(measured, MEASUREMENTS, data.postgresql_version(server))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "measurements",
        nargs="*",
        metavar="NAME",
        choices=[[], *MEASUREMENTS],
        help=f"{', '.join(MEASUREMENTS)}; default: all",
    )
    parser.add_argument("--images", type=int, default=IMAGES, help=f"default: {IMAGES:,}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
