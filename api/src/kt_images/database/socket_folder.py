"""The folder of the embedded server's socket: short, private, and the same at each start."""

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from kt_images.database.programs import Programs
from kt_images.errors import UnavailableError

LONGEST = 80  # a socket's path has 103 bytes on macOS, 107 on Linux
PRIVATE = 0o700


def socket_folder(data: Path, programs: Programs) -> Path:
    """Return the folder for the server on `data`, created if missing. Raises UnavailableError if it is another's."""
    temporary = tempfile.gettempdir()
    if len(temporary) > LONGEST - len("/kt-images-0123456789ab"):
        temporary = "/tmp"  # noqa: S108 (the folder below is checked for its owner)
    folder = Path(temporary, f"kt-images-{hashlib.sha256(bytes(data)).hexdigest()[:12]}")
    with contextlib.suppress(FileExistsError):
        programs.make_private(folder)
    status = folder.lstat()
    owner = programs.account.user if programs.account else os.geteuid()
    if (status.st_uid, stat.S_IMODE(status.st_mode), stat.S_ISDIR(status.st_mode)) != (owner, PRIVATE, True):
        raise UnavailableError(
            f"The folder {folder} for PostgreSQL's socket belongs to somebody else; "
            "remove it, or set TMPDIR to another folder"
        )
    return folder
