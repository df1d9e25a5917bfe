"""The client as a process, against the service as a process, in pipes and in a terminal."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services import KEPT, Service

PROGRAM = Path(sys.executable).with_name("kt-images")


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
