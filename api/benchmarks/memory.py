"""Memory of the service while it streams, seen from outside. Linux only: other kernels don't tell."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import client, contestants, data
from benchmarks.rows import Row, Run, medians

GROWTH = 10
RESET_PEAK = "5"  # for clear_refs, proc(5)
KB_OF_A_MB = 1024


def streaming(run: Run) -> Iterator[Row]:
    """The peak while one list is streamed, above what a fresh service with one small list behind it occupies."""
    if sys.platform != "linux":
        return
    for images in (run.images, run.images * GROWTH):
        dsn = data.database(run.server, images)
        rest, more = [], []
        for _ in range(run.rounds):
            with contestants.service(dsn) as service:
                client.read_list(service.port, "/images?limit=1", 1)
                rest.append(at_rest(service.pid))
                client.read_list(service.port, "/images", images)
                more.append(peak(service.pid) - rest[-1])
        seen = medians({"at rest": rest}, "MB")
        yield Row(f"memory while streaming {images:,} images", "the service at rest", 8, "MB more", more, seen=seen)


def at_rest(pid: int) -> float:
    """What the process and all that it started have resident, in MB; the peak is counted from now on."""
    processes = _family(pid)
    resident = sum(_status(one, "VmRSS") for one in processes)
    for one in processes:
        Path(f"/proc/{one}/clear_refs").write_text(RESET_PEAK)
    return resident


def peak(pid: int) -> float:
    """The most that they had resident, in MB."""
    return sum(_status(one, "VmHWM") for one in _family(pid))


def _family(pid: int) -> list[int]:
    """The process and all that it started."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(member for child in children for member in _family(child))]


def _status(pid: int, name: str) -> float:
    """A line of the process's status, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / KB_OF_A_MB
