"""The command line, against what a shell does with curl, and against what the service allows."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks import client, contestants, data, forms, pictures, scratch
from benchmarks.rows import LeftOutError, Row, Run, alternate, medians, ratios

FILES = 2000
CONNECTIONS = 16
SECONDS = 3.0  # a turn of the raw uploads
KT_IMAGES = (sys.executable, "-m", "kt_images.cli.main")
UPLOADING = 'for file in "$1"/*; do curl -sf -o /dev/null -F "image=@$file" "$2/images/upload" || exit; done'
COUNTING = 'curl -sf "$1/images" | wc'
LISTING = '"$1" -m kt_images.cli.main --server "$2" list --ndjson | wc'


def adding(run: Run) -> Iterator[Row]:
    """`add` of small pictures that the service does not hold yet, in each turn anew."""
    _look_for_curl()
    with scratch.service(run.server) as place:
        folder = place.folder / "pictures"
        folder.mkdir()
        requests = [forms.request(path) for path in pictures.small(folder, FILES)]
        server = f"http://{client.HOST}:{place.port}"

        def seconds(*arguments: str) -> float:
            data.forget_after(place.dsn, 0)
            passed = _seconds(*arguments)
            if data.count(place.dsn, "true") != FILES:
                raise RuntimeError(f"{arguments[0]} has not stored all files")
            return passed

        def raw() -> float:
            data.forget_after(place.dsn, 0)
            return FILES / client.per_second(
                place.port, requests, client.CREATED, connections=CONNECTIONS, seconds=SECONDS
            )

        passed = alternate(
            {
                "kt-images": lambda: seconds(
                    *KT_IMAGES, "--server", server, "add", "--quiet", "--recursive", str(folder)
                ),
                "curl": lambda: seconds("sh", "-c", UPLOADING, "sh", str(folder), server),
                "raw uploads": raw,
            },
            run.rounds,
        )
    ours, curl, most = passed.values()
    what, seen = f"`kt-images add` of {FILES:,} small pictures", medians(passed, "s")
    yield Row(what, "a shell's loop of curl", 0.5, "of its time", ratios(ours, curl), seen=seen)
    yield Row(what, f"raw uploads by {CONNECTIONS} connections", 1.3, "of their time", ratios(ours, most), seen=seen)


def listing(run: Run) -> Iterator[Row]:
    """`list --ndjson` of all images, against curl; both into `wc`."""
    _look_for_curl()
    with contestants.service(data.database(run.server, run.images)) as service:
        server = f"http://{client.HOST}:{service.port}"
        passed = alternate(
            {
                "kt-images": lambda: _seconds("sh", "-c", LISTING, "sh", sys.executable, server),
                "curl": lambda: _seconds("sh", "-c", COUNTING, "sh", server),
            },
            run.rounds,
        )
    what = f"`kt-images list --ndjson` of {run.images:,} images"
    yield Row(what, "curl, into `wc`", 2.5, "times its time", ratios(*passed.values()), seen=medians(passed, "s"))


def _look_for_curl() -> None:
    if not shutil.which("curl"):
        raise LeftOutError("curl cannot be found")


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, cwd=contestants.API)
    return time.perf_counter() - started
