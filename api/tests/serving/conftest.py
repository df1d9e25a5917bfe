"""A service of several workers, as processes that can be counted and killed."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest

from services import wait_for_end, wait_until


class Workers:
    """A running `python3 -m kt_images --workers N`."""

    def __init__(self, process, log):
        self.process, self._log = process, log
        greeting = process.stdout.readline()
        assert greeting, self.log()
        self.url = re.search(r"http://\S+?(?=;)", greeting).group()
        self.port = int(self.url.rsplit(":", 1)[1])
        self.parent = psutil.Process(process.pid)

    def log(self):
        return self._log.read_text()

    def pids(self):
        """Of the workers that live."""
        return {child.pid for child in self.parent.children() if _is_worker(child)}

    def kill(self, pid):
        """Kill one of the workers."""
        assert pid in self.pids()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in self.pids())

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(40)

    def kin(self):
        """All processes of the service."""
        return [self.parent, *self.parent.children(recursive=True)]


def _is_worker(process):
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and "kt_images.serving.worker" in process.cmdline()
    return False


@pytest.fixture
def workers(tmp_path):
    """Start such a service; it must leave no process behind."""
    started = []

    @contextlib.contextmanager
    def start(number, *arguments, variables=None, **options):
        log = tmp_path / "log"
        command = [
            sys.executable, "-m", "kt_images", "--workers", str(number), "--port", "0",
            "--uploads_dir", str(tmp_path / "images"), *arguments,
        ]  # fmt: skip
        with log.open("a") as errors:
            process = subprocess.Popen(
                command, env={**os.environ, **(variables or {})}, stdout=subprocess.PIPE, stderr=errors, text=True,
                cwd=tmp_path, **options,
            )  # fmt: skip
        with process:
            try:
                running = Workers(process, log)
                started.extend(running.kin())
                yield running
                if process.poll() is None:
                    started.extend(running.kin())
            finally:
                process.kill()
        wait_for_end(started)

    return start
