"""Large uploads: their time against the shell's, and the memory that they take."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

from PIL import Image

import kt_images.files.pictures
from benchmarks import client, forms, memory, pictures, scratch
from benchmarks.contestants import KEPT
from benchmarks.rows import LeftOutError, Row, Run, alternate, medians, ratios
from kt_images.base_settings import Settings
from kt_images.files.decoders import Decoders

SIZE = 200 * 10**6
WARM_UP = 3 * 10**6
BY_HAND = 'cp "$1" "$2" && sha256sum "$2" && sync "$2"'
PROGRAMS = ("cp", "sha256sum", "sync")
SMALL = 200
CONNECTIONS = 16
SECONDS = 3.0  # a turn of the small uploads
MAX_PIXELS = Settings.model_fields["max_pixels"].default
DECODE_MEMORY = Settings.model_fields["decode_memory"].default
BYTES_A_DECODED_PIXEL = 4  # Pillow's, whatever the file has

KINDS: dict[str, Callable[[Path, int], Path]] = {
    "one picture": pictures.bitmap,
    "a picture of many pages": pictures.pages,
}


def large(run: Run) -> Iterator[Row]:
    """Bytes that come, are hashed, written and synced; and then decoded, which the shell does not do."""
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        raise LeftOutError(f"{', '.join(missing)} cannot be found")
    with scratch.service(run.server) as place:
        for name, make in KINDS.items():
            path, copy = make(place.folder / "original", SIZE), place.folder / "copy"
            seconds = alternate(
                {"service": _uploading(place.port, path), "shell": _by_hand(path, copy)},
                run.rounds,
            )
            what, against = f"upload of {SIZE // 10**6} MB, {name}", "`cp`, `sha256sum` and `sync` of the same file"
            yield Row(what, against, 1.5, "of its time", ratios(*seconds.values()), seen=medians(seconds, "s"))


def small(run: Run) -> Iterator[Row]:
    """What a process of its own costs a small picture, in milliseconds, and how many uploads there are in a second."""
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        (path,) = pictures.small(Path(folder), 1)
        kt_images.files.pictures.prepare(MAX_PIXELS)
        with asyncio.Runner() as runner:
            decoders = runner.run(Decoders(MAX_PIXELS, DECODE_MEMORY).__aenter__())

            async def inspected() -> None:
                for _ in range(SMALL):
                    await decoders.inspect(path)

            milliseconds = alternate(
                {"process": lambda: _each(lambda: runner.run(inspected())), "here": lambda: _each(lambda: _here(path))},
                run.rounds,
            )
            runner.run(decoders.__aexit__(None, None, None))
    more = [process - here for process, here in zip(*milliseconds.values(), strict=True)]
    seen = medians(milliseconds, "ms")
    yield Row("decoding of a small picture", "in the service's own process", 1, "ms more", more, seen=seen)
    with scratch.service(run.server) as place, ThreadPoolExecutor(CONNECTIONS) as threads:
        paths = pictures.small(place.folder, SMALL)
        requests = [forms.request(path) for path in paths]

        def uploaded() -> float:
            return client.per_second(place.port, requests, client.CREATED, connections=CONNECTIONS, seconds=SECONDS)

        def stored() -> float:
            started = time.perf_counter()
            list(threads.map(_store, paths, repeat(place.folder / "copies")))
            return SMALL / (time.perf_counter() - started)

        rates = alternate({"service": uploaded, "files alone": stored}, run.rounds)
    what = f"uploads of small pictures per second, {CONNECTIONS} connections"
    against = f"files written, synced and renamed by {CONNECTIONS} threads"
    yield Row(what, against, 0.1, "times as many", ratios(*rates.values()), at_least=True, seen=medians(rates, "per s"))


def _each(work: Callable[[], None]) -> float:
    """Return the milliseconds that each of SMALL takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started) / SMALL


def _here(path: Path) -> None:
    for _ in range(SMALL):
        with path.open("rb") as file:
            kt_images.files.pictures.inspect(file, MAX_PIXELS, lambda _: None)


def _store(path: Path, folder: Path) -> None:
    """What durable files cost at least: bytes and name are on the disk."""
    folder.mkdir(exist_ok=True)
    written = folder / f"{path.name}.part"
    with written.open("wb") as file:
        file.write(path.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    written.rename(folder / path.name)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def filling(run: Run) -> Iterator[Row]:
    """The peak while one file is uploaded, above what a service has that has taken a small one, and above its frame."""
    if sys.platform != "linux":
        raise LeftOutError("only Linux tells what a process has resident at most")
    for name, make in KINDS.items():
        rest, frames, more = [], [], []
        for _ in range(run.rounds):
            with scratch.service(run.server) as place:
                forms.upload(place.port, make(place.folder / "first", WARM_UP))
                path = make(place.folder / "original", SIZE)
                at_rest = memory.at_rest(place.pid)
                forms.upload(place.port, path)
                rest.append(at_rest)
                frames.append(_frame(path))
                more.append(memory.peak(place.pid) - at_rest - frames[-1])
        what, against = f"memory while {SIZE // 10**6} MB are uploaded, {name}", "at rest, and one frame decoded"
        seen = medians({"at rest": rest, "one frame": frames}, "MB")
        yield Row(what, against, 8, "MB more", more, seen=seen)


def _frame(path: Path) -> float:
    """What a frame of the picture takes while it is decoded, in MB as the kernel counts them."""
    with Image.open(path) as image:
        return image.width * image.height * BYTES_A_DECODED_PIXEL / 2**20


def _uploading(port: int, path: Path) -> Callable[[], float]:
    def upload() -> float:
        started = time.perf_counter()
        forms.upload(port, path)
        return time.perf_counter() - started

    return upload


def _by_hand(path: Path, copy: Path) -> Callable[[], float]:
    arguments = ["sh", "-c", BY_HAND, "sh", str(path), str(copy)]

    def by_hand() -> float:
        copy.unlink(missing_ok=True)
        started = time.perf_counter()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started

    return by_hand
