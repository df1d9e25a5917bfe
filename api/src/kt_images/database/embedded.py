"""The embedded server: a real PostgreSQL as a child of this process, for whoever gives no DSN.

It listens on a Unix socket in a private folder and nowhere else. It ends with its parent: at the end of its context,
or, on Linux, by the signal that the kernel sends to the children of a killed process.

    embedded (keep one running) --> postmaster (the child) --> data_folder, socket_folder --> programs (what is run)
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from kt_images.database import data_folder
from kt_images.database.postmaster import Postmaster
from kt_images.database.programs import Programs, find_binaries
from kt_images.errors import UnavailableError

START_SECONDS = 60.0
LOOK_SECONDS = 0.005


def server(dsn: str, data: Path) -> contextlib.AbstractContextManager[str]:
    """Yield `dsn` if it is not empty, else the DSN of a server run on the folder `data`."""
    return contextlib.nullcontext(dsn) if dsn else running(data)


@contextlib.contextmanager
def running(data: Path, find: Callable[[], Path] = find_binaries) -> Iterator[str]:
    """Run PostgreSQL on the folder `data` inside the context; yield its DSN. Raises UnavailableError."""
    with Embedded(data, find) as embedded:
        yield embedded.dsn


class Embedded:
    """A server on the folder `data`, which is created if missing; `dsn` leads to it.

    A server that already runs on the folder is adopted, and left running at the end.

    Linux ends a child together with the thread that started it, so the work is done in a thread that lives as long as
    the object. Methods may be called from any thread; the caller waits.
    """

    def __init__(self, data: Path, find: Callable[[], Path] = find_binaries) -> None:
        self._data, self._find = data.resolve(), find
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedded-postgresql")
        self._ending = threading.Event()
        self._child: Postmaster | None = None
        self.dsn = ""

    def __enter__(self) -> Self:
        self.ensure()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ensure(self) -> None:
        """Start the server unless it runs; at the same DSN again after a crash, or when an adopted one was ended.

        Raises UnavailableError.
        """
        self._thread.submit(self._ensure).result()

    def stop(self) -> None:
        """Shut the server down if this process started it; give up starting it."""
        self._ending.set()
        self._thread.submit(self._stop).result()
        self._thread.shutdown()

    def _ensure(self) -> None:
        try:
            if not self.dsn or not self._is_running():
                self._start()
        except OSError as error:
            raise UnavailableError(f"PostgreSQL cannot use the folder {self._data}: {error.strerror}") from error

    def _is_running(self) -> bool:
        # Asking the child needs no descriptor: when none is left, a healthy server must not be taken for a dead one.
        return self._child.is_running() if self._child else data_folder.is_served(self._data)

    def _start(self) -> None:
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]  # meant for another server, but libpq would apply them to this one
        self._data.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._end_child()
            self._await_server()

    def _await_server(self) -> None:
        """Wait until a server accepts connections: one that already runs, or one started as soon as none does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and (not self._child or self._child.is_running()):
            if not self._child and not data_folder.is_served(self._data):
                self._child = Postmaster(self._data, Programs(self._find(), self._data))
            if dsn := data_folder.dsn(self._data):
                self.dsn = dsn
                return
            if self._ending.wait(LOOK_SECONDS):
                break
        why = (self._child and self._child.complaint()) or f"its log is in {self._data / 'log'}"
        self._end_child()
        raise UnavailableError(f"PostgreSQL did not start on {self._data}: {why}")

    def _stop(self) -> None:
        if self._child:
            with self._alone():
                self._end_child()

    def _end_child(self) -> None:
        if self._child:
            self._child.stop()
            self._child = None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # Of two processes that start at once, the second adopts; none adopts a server that is being stopped.
        with self._data.with_name(self._data.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
