"""The child process: a PostgreSQL server that this process started on a folder."""

import contextlib
import signal
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from kt_images.database import data_folder
from kt_images.database.programs import Programs
from kt_images.database.socket_folder import socket_folder
from kt_images.kinship import end_with_parent

STOP_SECONDS = 30.0


class Postmaster:
    """A server on the folder `data`, from its start on; the folder is created if missing.

    Raises UnavailableError when the folder holds something else.
    """

    def __init__(self, data: Path, programs: Programs) -> None:
        data_folder.prepare(data, programs)
        self._sockets = socket_folder(data, programs)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `stop()`)
        self._process = programs.start_on(
            data, "postgres",
            "-c", "listen_addresses=", "-c", f"unix_socket_directories={self._sockets}",
            "-c", "logging_collector=on", "-c", "log_directory=log", "-c", "log_filename=postgresql-%a.log",
            "-c", "log_truncate_on_rotation=on",
            stderr=self._complaints,  # until the server has opened its log
            start_new_session=True,  # Ctrl-C at the terminal is for the service, which stops the server last
            preexec_fn=partial(end_with_parent, signal.SIGINT),
        )  # fmt: skip

    def is_running(self) -> bool:
        """Return whether the process lives."""
        return self._process.poll() is None

    def complaint(self) -> str:
        """Return what the server said before it opened its log."""
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """Shut down fast: sessions are ended, a checkpoint is written."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)  # immediate shutdown: the next start recovers from the log
            self._process.wait(STOP_SECONDS)
        self._complaints.close()
        with contextlib.suppress(OSError):
            self._sockets.rmdir()
