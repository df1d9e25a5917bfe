"""The folder of the embedded server's data: created once, refused if it is not ours, and whose server runs on it."""

import shutil
import subprocess
import sys
from pathlib import Path

from kt_images.database.programs import Programs
from kt_images.errors import UnavailableError

PORT_LINE, SOCKET_LINE, STATUS_LINE = 3, 4, 7  # of postmaster.pid, counted from 0
BUILTIN_LOCALES_SINCE = 17


def prepare(data: Path, programs: Programs) -> None:
    """Create the folder, or see that it is fit for the programs. Raises UnavailableError in a sentence if it is not."""
    if data.exists() and any(data.iterdir()):
        _refuse_foreign(data, programs.major_version())
        (data / "postmaster.pid").unlink(missing_ok=True)  # left by a crash: no server runs here
        return
    # Initialised beside its place: a folder in its place is always complete.
    new = data.with_name(data.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    programs.make_private(new)
    _initialise(new, programs)
    new.rename(data)


def is_served(data: Path) -> bool:
    """Return whether a PostgreSQL runs on the folder. Raises OSError when that cannot be determined now."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        return _is_server(pid, data)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return False  # the number belongs to a process of somebody else by now
    except (IndexError, ValueError):
        return False  # the file is only just being written


def dsn(data: Path) -> str | None:
    """Return the DSN of the server that runs on the folder, None until it accepts connections."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) <= STATUS_LINE or lines[STATUS_LINE].strip() not in {"ready", "standby"}:
        return None
    return f"host={lines[SOCKET_LINE]} port={lines[PORT_LINE]} user=postgres dbname=postgres"


def _is_server(pid: int, data: Path) -> bool:
    # A pid alone proves nothing: after a crash it may be anybody's.
    if sys.platform == "linux":
        return Path(f"/proc/{pid}/cwd").readlink() == data and "postgres" in Path(f"/proc/{pid}/comm").read_text()
    program = subprocess.run(["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, check=False)
    return b"postgres" in program.stdout


def _refuse_foreign(data: Path, major: int) -> None:
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise UnavailableError(
            f"The folder {data} is not empty and holds no PostgreSQL data; choose another with --database_dir"
        ) from None
    if version != str(major):
        raise UnavailableError(
            f"The folder {data} was made by PostgreSQL {version}, this is {major}; "
            "run the older one, or restore a backup into another folder"
        )


def _initialise(folder: Path, programs: Programs) -> None:
    locale = ["--locale=C", "--lc-ctype=C.UTF-8"]
    if programs.major_version() >= BUILTIN_LOCALES_SINCE:
        # The same on every system; with plain C the trigram functions know no letters outside ASCII.
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb = programs.start_on(
        folder, "initdb", "-U", "postgres", "-E", "UTF8", "--auth-local=trust", *locale,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    with initdb:
        _, complaint = initdb.communicate()
    if initdb.returncode:
        raise UnavailableError(f"PostgreSQL cannot create its data folder: {complaint.decode(errors='replace')}")
