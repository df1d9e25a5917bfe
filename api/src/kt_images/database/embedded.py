"""A real PostgreSQL as a child of this process, for whoever gives no DSN.

The server listens on a Unix socket in a private folder and nowhere else. It ends when its parent does: at the end of
its context, or, on Linux, by the signal that the kernel sends to the children of a killed process.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

from kt_images.database.programs import Programs, find_binaries
from kt_images.errors import UnavailableError

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PORT_LINE, SOCKET_LINE, STATUS_LINE = 3, 4, 7  # of postmaster.pid, counted from 0
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
BUILTIN_LOCALES_SINCE = 17
LONGEST_SOCKET_FOLDER = 80  # a socket's path has 103 bytes on macOS, 107 on Linux
PRIVATE = 0o700


def server(dsn: str, data: Path) -> contextlib.AbstractContextManager[str]:
    """Give `dsn` where it names a database, else that of a server run on the folder `data`."""
    return contextlib.nullcontext(dsn) if dsn else running(data)


@contextlib.contextmanager
def running(data: Path, find: Callable[[], Path] = find_binaries) -> Iterator[str]:
    """Run PostgreSQL on the folder `data` meanwhile; give the DSN. Raises UnavailableError in a sentence."""
    with Embedded(data, find) as server:
        yield server.dsn


class Embedded:
    """A server on the folder `data`, made when it is not there; `dsn` leads to it.

    A server that already runs on the folder is adopted, and left running at the end. To be used from the main thread:
    Linux ends the server together with the thread that started it.
    """

    def __init__(self, data: Path, find: Callable[[], Path] = find_binaries) -> None:
        self._data, self._find = data.resolve(), find
        self._child: _Child | None = None
        self.dsn = ""

    def __enter__(self) -> Self:
        self.ensure()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Shut the server down, if this process started it."""
        if self._child:
            with self._alone():
                self._child.stop()

    def ensure(self) -> None:
        """Have the server run, again at the same DSN when it crashed, or was adopted and ended by who started it.

        Raises UnavailableError in a sentence.
        """
        if self.dsn and _is_running(self._data):
            return
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]  # meant for another server: libpq would heed them here too
        try:
            self._data.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if self._child:
                    self._child.stop()
                    self._child = None
                self._run()
        except OSError as error:
            raise UnavailableError(f"PostgreSQL cannot use the folder {self._data}: {error.strerror}") from error

    def _run(self) -> None:
        """Wait for a server to accept connections: one that runs already, or that is started once none does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and (not self._child or self._child.process.poll() is None):
            if not self._child and not _is_running(self._data):
                self._child = _Child(self._data, Programs(self._find(), self._data))
            with contextlib.suppress(FileNotFoundError):
                lines = (self._data / "postmaster.pid").read_text().splitlines()
                if len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() in {"ready", "standby"}:
                    place = f"host={lines[SOCKET_LINE]} port={lines[PORT_LINE]}"
                    self.dsn = f"{place} user=postgres dbname=postgres"
                    return
            time.sleep(0.005)
        why = f"its log is in {self._data / 'log'}"
        if self._child:
            self._child.complaints.seek(0)
            why = self._child.complaints.read().decode(errors="replace").strip() or why
            self._child.stop()
            self._child = None
        raise UnavailableError(f"PostgreSQL did not start on {self._data}: {why}")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # Of two processes that start at once the second adopts; none adopts what is being stopped.
        with self._data.with_name(self._data.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Child:
    """A server that this process started."""

    def __init__(self, data: Path, programs: Programs) -> None:
        self._programs = programs
        major = programs.major_version()
        fresh = not data.exists() or not any(data.iterdir())
        # Initialised beside its place: a folder that is there is always whole.
        folder = data.with_name(data.name + ".new") if fresh else data
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
            programs.make_private(folder)
        else:
            _refuse_foreign(data, major)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if fresh:
            self._initialise(self._path(folder), major)
            folder.rename(data)
        self._sockets = _socket_folder(data, programs)
        self.complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `stop()`)
        self.process = self._start(self._path(data))

    def _path(self, folder: Path) -> str:
        """Return a path to the folder that the account can walk: /root, for one, is closed to it."""
        if self._programs.account and sys.platform == "linux":
            return f"/proc/self/fd/{self._folder}"
        return str(folder)

    def _initialise(self, path: str, major: int) -> None:
        locale = ["--locale=C", "--lc-ctype=C.UTF-8"]
        if major >= BUILTIN_LOCALES_SINCE:
            # The same on every system; with plain C the trigram functions see no letter outside ASCII.
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = self._programs.start(
            "initdb", "-D", path, "-U", "postgres", "-E", "UTF8", "--auth-local=trust", *locale,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(self._folder,),
        )  # fmt: skip
        with initdb:
            _, complaint = initdb.communicate()
        if initdb.returncode:
            raise UnavailableError(f"PostgreSQL cannot make its data folder: {complaint.decode(errors='replace')}")

    def _start(self, path: str) -> subprocess.Popen[bytes]:
        return self._programs.start(
            "postgres", "-D", path,
            "-c", "listen_addresses=", "-c", f"unix_socket_directories={self._sockets}",
            "-c", "logging_collector=on", "-c", "log_directory=log", "-c", "log_filename=postgresql-%a.log",
            "-c", "log_truncate_on_rotation=on",
            stderr=self.complaints,  # until the server has opened its log
            pass_fds=(self._folder,),
            start_new_session=True,  # a Ctrl-C at the terminal is for the service, which stops the server last
            preexec_fn=_end_with_parent,
        )  # fmt: skip

    def stop(self) -> None:
        """Shut down fast: sessions are ended, a checkpoint is written."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)  # immediate shutdown: the next start recovers from the log
            self.process.wait(STOP_SECONDS)
        self.complaints.close()
        os.close(self._folder)
        with contextlib.suppress(OSError):
            self._sockets.rmdir()


def _refuse_foreign(data: Path, major: int) -> None:
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise UnavailableError(f"The folder {data} is not empty and holds no PostgreSQL data") from None
    if found != str(major):
        raise UnavailableError(f"The folder {data} was made by PostgreSQL {found}, this one is {major}")
    (data / "postmaster.pid").unlink(missing_ok=True)  # left by a crash: the pid is not a server on this folder


def _socket_folder(data: Path, programs: Programs) -> Path:
    """Return a short private folder for the socket, the same at each start."""
    temporary = tempfile.gettempdir()
    if len(temporary) > LONGEST_SOCKET_FOLDER - len("/kt-images-0123456789ab"):
        temporary = "/tmp"  # noqa: S108 (the folder below is checked for its owner)
    folder = Path(temporary, f"kt-images-{hashlib.sha256(bytes(data)).hexdigest()[:12]}")
    with contextlib.suppress(FileExistsError):
        programs.make_private(folder)
    found = folder.lstat()
    owner = programs.account.user if programs.account else os.geteuid()
    if (found.st_uid, stat.S_IMODE(found.st_mode), stat.S_ISDIR(found.st_mode)) != (owner, PRIVATE, True):
        raise UnavailableError(f"The folder {folder} belongs to somebody else")
    return folder


def _is_running(data: Path) -> bool:
    """Tell whether the process of postmaster.pid is a PostgreSQL on this folder; a pid may be anybody's by now."""
    # A process that cannot be looked into is somebody else's.
    with contextlib.suppress(OSError, IndexError, ValueError):
        pid = int((data / "postmaster.pid").read_text().split()[0])
        if sys.platform == "linux":
            return Path(f"/proc/{pid}/cwd").readlink() == data and "postgres" in Path(f"/proc/{pid}/comm").read_text()
        program = subprocess.run(["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, check=False)
        return b"postgres" in program.stdout
    return False


def _end_with_parent() -> None:
    """Have the kernel shut the server down when the service dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
