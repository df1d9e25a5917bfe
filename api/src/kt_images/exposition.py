"""The metrics as Prometheus reads them, of all processes that serve on a machine, whichever of them is asked.

Where there are several, they share a folder, which must be in the environment of each before it starts. The parent
calls `prepare()` before the first of them, and `forget()` for each that has ended.
"""

import fcntl
import operator
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, multiprocess
from prometheus_client.exposition import choose_encoder
from prometheus_client.mmap_dict import MmapedDict

from kt_images import metrics

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# What outlives a process; how its last values are joined to those of others that have ended, in the file of process 0.
LASTING: dict[str, Callable[[float, float], float]] = {
    "counter": operator.add,
    "histogram": operator.add,
    "gauge_max": max,
}

_measured = prometheus_client.ProcessCollector(registry=None)
_platform = prometheus_client.PlatformCollector(registry=None)
_cpu_seconds = [0.0]  # that are counted already


def measure() -> None:
    """Bring the metrics of this process up to date; on Linux only."""
    found = {sample.name: sample.value for one in _measured.collect() for sample in one.samples}
    metrics.PROCESSES.set(1)
    for name, gauge in metrics.OF_PROCESS.items():
        if name in found:
            gauge.set(found[name])
    metrics.CPU_SECONDS.inc(max(0.0, found.get("process_cpu_seconds_total", 0.0) - _cpu_seconds[0]))
    _cpu_seconds[0] = found.get("process_cpu_seconds_total", 0.0)


def exposition(accept: str) -> tuple[bytes, str]:
    """Return all metrics, in the format that the header Accept prefers, and the media type. Takes some milliseconds."""
    measure()
    encode, media_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_platform)
    if FOLDER not in os.environ:
        registry.register(metrics.REGISTRY)
        return encode(registry), media_type
    folder = Path(os.environ[FOLDER])
    multiprocess.MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    with _locked(folder, fcntl.LOCK_SH):
        return encode(registry), media_type


def prepare(folder: Path) -> None:
    """Make the folder, and remove what earlier processes left: they would be counted again."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.db"):
        left.unlink()


def forget(folder: Path, pid: int) -> None:
    """Take a process that has ended out of the gauges. What it has counted stays, in a few files for all of them."""
    with _locked(folder, fcntl.LOCK_EX):
        multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        for kind, join in LASTING.items():
            ended = folder / f"{kind}_{pid}.db"
            if ended.exists():
                _join(folder / f"{kind}_0.db", ended, join)
                ended.unlink()


def _join(target: Path, source: Path, join: Callable[[float, float], float]) -> None:
    kept = MmapedDict(str(target))  # type: ignore[no-untyped-call]
    for key, value, *_ in MmapedDict.read_all_values_from_file(str(source)):  # type: ignore[no-untyped-call]
        kept.write_value(key, join(kept.read_value(key)[0], value), 0.0)  # type: ignore[no-untyped-call]
    kept.close()  # type: ignore[no-untyped-call]


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Keep `forget()` and whoever reads apart: nothing is counted twice, or left out."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield
