"""The service as a process, on an address of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2

KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")  # of the tests' own environment


@dataclass
class Service:
    """`python -m kt_images` on an address of its own, which stays the same when it is started again."""

    dsn: str
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    environment: dict[str, str] = field(default_factory=dict)  # settings beside those of all tests

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "POSTGRES_DSN": self.dsn,
            "KT_IMAGES_UPLOADS_DIR": str(self.folder / "images"),
            "KT_IMAGES_HOST": "127.0.0.1",
            "KT_IMAGES_PORT": str(self.port),
            "KT_IMAGES_MAX_UPLOAD_SIZE": str(2**20),
        }
        environment |= self.environment
        command = [sys.executable, "-m", "kt_images"]
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        wait_until(self.is_up)

    def is_up(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "the service has ended"
        with contextlib.suppress(OSError):
            return self.json("/readyz") is not None
        return False

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def json(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def create(self, filename: str, *tags: str) -> int:
        image_id: int = self.json("/images", {"filename": filename, "tags": tags})["image_id"]
        return image_id

    def tags(self, image_id: int) -> list[str]:
        tags: list[str] = self.json(f"/images/{image_id}")["tags"]
        return tags

    def images(self) -> list[dict[str, Any]]:
        return [image for chunk in self.json("/images")[:-1] for image in chunk]

    def empty(self) -> None:
        """Delete all images and keys; start it again if a test has ended it."""
        if not self.process:
            self.start()
        self.sql("truncate images, keys restart identity cascade")

    def key(self, *scopes: str) -> str:
        """Make a key, as whoever has the shell does; return its secret."""
        command = [sys.executable, "-m", "kt_images.manage.keys", "--postgres_dsn", self.dsn, "create", "a test"]
        made = subprocess.run([*command, "--scopes", ",".join(scopes)], capture_output=True, text=True, check=True)
        return made.stdout.strip()

    def sql(self, statement: str, *values: Any) -> None:
        with contextlib.closing(psycopg2.connect(self.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)


@contextlib.contextmanager
def running(server_dsn: str, folder: Path, name: str, **environment: str) -> Iterator[Service]:
    """Run the service on a database and in a folder of that name, with these settings."""
    with contextlib.closing(psycopg2.connect(server_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"create database {name}")
    dsn = f"{server_dsn} dbname={name}"
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--upgrade", "--postgres_dsn", dsn]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    home = folder / name
    home.mkdir()
    service = Service(dsn, home, free_port(), environment=environment)
    service.start()
    try:
        yield service
    finally:
        service.end(signal.SIGTERM)


def wait_for_end(processes: Iterable[psutil.Process]) -> None:
    """Wait until all have ended, though they may still wait to be noticed by a parent that is not ours."""
    wait_until(lambda: not any(map(_lives, processes)))


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # it may end between two looks
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def free_port() -> int:
    """A port below those that the system gives to clients, so that it is still free after a restart."""
    first, beyond = 18700, 32000
    own = first + os.getpid() % (beyond - first)  # other tests that run at the same time look elsewhere
    for port in [*range(own, beyond), *range(first, own)]:
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port
    raise AssertionError
