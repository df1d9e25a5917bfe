"""A PostgreSQL that a test can crash and restart, at the same DSN."""

import os
import signal
from pathlib import Path

from kt_images.database import embedded


class Restartable:
    """A server of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.start()

    def start(self) -> None:
        self.running = embedded.running(self.data)
        self.dsn = self.running.__enter__()

    def crash(self) -> None:
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        self.running.__exit__(None, None, None)

    def restart(self) -> None:
        self.crash()
        self.start()

    def freeze(self) -> None:
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGCONT)
