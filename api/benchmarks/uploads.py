"""Large uploads: their time against the shell's, and the memory that they take."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from benchmarks import forms, memory, pictures, scratch
from benchmarks.rows import LeftOutError, Row, Run, alternate, medians, ratios

SIZE = 200 * 10**6
WARM_UP = 3 * 10**6
BY_HAND = 'cp "$1" "$2" && sha256sum "$2" && sync "$2"'
PROGRAMS = ("cp", "sha256sum", "sync")
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
