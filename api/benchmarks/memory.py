"""Memory of the service while it streams, seen from outside. Linux only: other kernels don't tell."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import client, contestants, data
from benchmarks.rows import Row, Run

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
                processes = _family(service.pid)
                at_rest = sum(_status(pid, "VmRSS") for pid in processes)
                for pid in processes:
                    Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
                client.read_list(service.port, "/images", images)
                rest.append(at_rest)
                more.append(sum(_status(pid, "VmHWM") for pid in _family(service.pid)) - at_rest)
        seen = {"at rest": f"{sorted(rest)[len(rest) // 2]:.0f} MB"}
        yield Row(f"memory while streaming {images:,} images", "the service at rest", 8, "MB more", more, seen=seen)


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
