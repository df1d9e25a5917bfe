"""The service and its peer, each as a process of its own on a free port, on the same database."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import client

API = Path(__file__).parents[1]
KEPT = API.parent / "data" / "bench"
START_SECONDS = 30.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Contestant:
    """A server: the port it listens on, and its process."""

    port: int
    pid: int


@contextmanager
def service(dsn: str, files: Path = KEPT / "images", **settings: str) -> Iterator[Contestant]:
    """Run `python -m kt_images` as it comes, told its database, its port and its folder, and what `settings` say."""
    with _running("kt_images", dsn, files, settings) as contestant:
        yield contestant


@contextmanager
def peer(dsn: str) -> Iterator[Contestant]:
    """Run the FastAPI peer."""
    with _running("benchmarks.peer", dsn, KEPT / "images", {}) as contestant:
        yield contestant


@contextmanager
def _running(module: str, dsn: str, files: Path, settings: dict[str, str]) -> Iterator[Contestant]:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KT_IMAGES_", "PG"))}
    environment |= {
        "POSTGRES_DSN": dsn,
        "KT_IMAGES_HOST": client.HOST,
        "KT_IMAGES_PORT": str(port),
        "KT_IMAGES_UPLOADS_DIR": str(files),
    } | settings
    with (KEPT / f"{module}.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", module], cwd=API, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(process, module, port)
        yield Contestant(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind((client.HOST, 0))
        return int(taken.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], module: str, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.status(port, "/healthz") == client.OK:
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{module} does not start: {(KEPT / f'{module}.log').read_text()}")
