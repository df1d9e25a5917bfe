"""The client as a process, against the service as a process, in pipes and in a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

PROGRAM = Path(sys.executable).with_name("kt-images")
KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")  # of the tests' own environment


@dataclass
class Service:
    """`python -m kt_images` on an address of its own, which stays the same when it is started again."""

    dsn: str
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

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

    def sql(self, statement: str, *values: Any) -> None:
        with contextlib.closing(psycopg2.connect(self.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)

    def has(self, path: str) -> bool:
        return path in self.json("/oas/spec")["paths"]


@pytest.fixture(scope="session")
def running_service(server_dsn: str, folder: Path) -> Iterator[Service]:
    with contextlib.closing(psycopg2.connect(server_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute("create database cli")
    dsn = f"{server_dsn} dbname=cli"
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--upgrade", "--postgres_dsn", dsn]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    home = folder / "cli"
    home.mkdir()
    service = Service(dsn, home, free_port())
    service.start()
    yield service
    service.end(signal.SIGTERM)


@pytest.fixture
def service(running_service: Service) -> Service:
    """The service, up, without images."""
    if not running_service.process:
        running_service.start()
    running_service.sql("truncate images restart identity cascade")
    return running_service


@pytest.fixture
def uploads(service: Service) -> None:
    """For tests of what needs `POST /images/upload` and the list of attachments."""
    if not (service.has("/images/upload") and service.has("/images/{image_id}/attachments")):
        pytest.skip("the service does not have POST /images/upload yet")


@dataclass
class Result:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Cli:
    """`kt-images`, as installed."""

    home: Path
    server: str = "http://127.0.0.1:1"
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: Any, stdin: str = "", **options: Any) -> Result:
        with self.start(*arguments, stdin=subprocess.PIPE, **options) as process:
            out, err = process.communicate(stdin.encode(), timeout=120)
        assert b"Traceback" not in err
        return Result(process.returncode, out.decode(), err.decode())

    def start(self, *arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        options = pipes | {"cwd": self.home, "env": self.variables} | options
        return subprocess.Popen([PROGRAM, *map(str, arguments)], **options)

    @property
    def variables(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return kept | {"HOME": str(self.home), "KT_IMAGES_SERVER": self.server} | self.environment

    @contextlib.contextmanager
    def terminal(self, *arguments: Any, columns: int = 100) -> Iterator["Terminal"]:
        """Run it in a terminal."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = self.variables | {"TERM": "xterm-256color"}
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        with self.start(*arguments, **streams, env=environment, start_new_session=True) as process:
            os.close(theirs)
            try:
                yield Terminal(process, ours)
            finally:
                process.kill()
                os.close(ours)


@dataclass
class Terminal:
    process: "subprocess.Popen[bytes]"
    descriptor: int
    text: str = ""

    def read_until(self, wanted: str | None = None) -> str:
        """Read until `wanted` has come, or to the end."""
        deadline = time.monotonic() + 60
        while wanted is None or wanted not in self.text:
            ready, _, _ = select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{wanted!r} did not come, but {self.text!r}"
            try:
                piece = os.read(self.descriptor, 65536)
            except OSError:  # how Linux says that the other end is closed
                piece = b""
            if not piece:
                assert wanted is None, f"{wanted!r} did not come, but {self.text!r}"
                break
            self.text += piece.decode(errors="replace")
        return self.text

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def status(self) -> int:
        self.read_until()
        assert "Traceback" not in self.text
        return self.process.wait(60)


@pytest.fixture
def cli(service: Service, tmp_path: Path) -> Cli:
    return Cli(tmp_path, service.url)


@pytest.fixture
def lonely_cli(tmp_path: Path) -> Cli:
    """The client where no service is."""
    return Cli(tmp_path)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def free_port() -> int:
    """A port below those that the system gives to clients, so that it is still free after a restart."""
    for port in range(18700, 32000):
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def png(number: int, side: int = 8) -> bytes:
    """A small picture, a different one for each number."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + number.to_bytes(4, "big") * side
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * side)) + chunk(b"IEND", b"")
    )


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str, int], Path]:
    """Make picture files in the temporary folder."""

    def make(name: str, number: int, side: int = 8) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number, side))
        return path

    return make
