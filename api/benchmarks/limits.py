"""PostgreSQL alone: COPY by psql, the limit of what a service in front of it can reach."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from kt_images.database import embedded

# As large as an unprivileged process may have it: psql is not to wait for its reader.
PIPE_BYTES = 1 << 20
END = b"the end of this COPY\n"


class Psql:
    """A psql that stays connected, as the service does, and copies to a pipe."""

    def __init__(self, dsn: str) -> None:
        self._process = _psql(dsn, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._buffer = bytearray(PIPE_BYTES)
        assert self._process.stdout
        self._output = self._process.stdout.fileno()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def copy(self, query: str) -> float:
        """Return the seconds that it takes to copy the query's result to the pipe."""
        assert self._process.stdin
        started = time.perf_counter()
        self._process.stdin.write(f"copy ({query}) to stdout;\n\\echo {END.decode()}".encode())
        self._process.stdin.flush()
        tail = b""
        while not tail.endswith(END):
            size = os.readv(self._output, [self._buffer])
            if not size:
                raise RuntimeError("psql ended")
            tail = (tail + self._buffer[max(0, size - len(END)) : size])[-len(END) :]
        return time.perf_counter() - started

    def close(self) -> None:
        """End psql."""
        self._process.communicate()


@contextmanager
def loading(dsn: str, copy: str) -> Iterator[IO[bytes]]:
    """Give the file that psql loads by the COPY; raise what it complains of."""
    process = _psql(dsn, "-c", copy, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin
    yield process.stdin
    process.stdin.close()
    if process.wait():
        raise RuntimeError("psql could not load the data")


def _psql(dsn: str, *arguments: str, **files: int) -> subprocess.Popen[bytes]:
    program = embedded.find_binaries() / "psql"
    # A PATH's or a distribution's server may stand in another folder than its client.
    name = str(program) if program.exists() else "psql"
    return subprocess.Popen([name, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn, *arguments], **files)  # type: ignore[call-overload,no-any-return]
