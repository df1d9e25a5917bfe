"""A process of `decoder.py`, as the service holds it: started, asked, ended."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from contextvars import Context
from typing import Any, BinaryIO, Self

from kt_images import errors
from kt_images.files import decoder
from kt_images.files.failures import translate
from kt_images.logs import sparing_logger

logger = sparing_logger(__name__)

START_SECONDS = 20.0
# Bytes; a thumbnail of the largest width is far smaller.
MAX_ANSWER = 64 * 2**20

# Bytes of a line in the log.
MOST_SAID = 4096

# Descriptors to start a process.
NEEDED = 10

# The environment has passwords, which a decoder does not need.
PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG")


# Of glibc. With an arena for each thread, address space would say nothing about memory; and without a fixed threshold
# a large block that is free, below a small one in use, would not be given back. Large pages: a photograph is 12,000
# small ones, and to get these from the kernel takes a third of the time to decode it.
MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | MALLOC


def _expect_descriptors(descriptor: int) -> None:
    """Raise OSError when too few are left: uvloop stumbles over a process that is half made."""
    copies: list[int] = []
    try:
        for _ in range(NEEDED):
            copies.append(os.dup(descriptor))  # noqa: PERF401 (each is closed, also when the next fails)
    finally:
        for copy in copies:
            os.close(copy)


async def _relay(said: asyncio.StreamReader | None) -> None:
    """Put into the log what a decoder and its libraries say; a hostile picture may have them say much."""
    while said and (piece := await said.read(MOST_SAID)):
        logger.warning("A decoder says: %s", piece.decode(errors="replace").strip())


class DecoderProcess:
    """A process of `decoder.py`, and our end of its socket."""

    def __init__(self, process: asyncio.subprocess.Process, peer: socket.socket) -> None:
        self._process, self._peer = process, peer
        self.asked, self.is_spent = 0, False
        # Of no request: it serves many.
        self._relaying = asyncio.create_task(_relay(process.stderr), context=Context())

    @classmethod
    async def start(cls, max_pixels: int, memory: int) -> Self:
        """Raise UnavailableError when the program does not start."""
        with errors.translated_errors(translate):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            try:
                with theirs:
                    _expect_descriptors(theirs.fileno())
                    process = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "kt_images.files.decoder",
                        str(theirs.fileno()), str(max_pixels), str(memory),
                        pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
                        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env=_environment(),
                    )  # fmt: skip
            except BaseException:
                ours.close()
                raise
        made = cls(process, ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                await made._receive(1)
        except (EOFError, OSError, TimeoutError) as error:
            await made.end()
            raise errors.UnavailableError("Pictures cannot be decoded now; the service's log says why") from error
        except BaseException:
            await made.end()
            raise
        return made

    async def ask(self, file: BinaryIO, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return the answer's two parts. Raises EOFError or OSError when the process has ended."""
        self.asked += 1
        file.flush()
        socket.send_fds(self._peer, [json.dumps(request).encode()], [file.fileno()])
        lengths = decoder.LENGTHS.unpack(await self._receive(decoder.LENGTHS.size))
        if max(lengths) > MAX_ANSWER:
            raise EOFError
        text, content = [await self._receive(length) for length in lengths]
        found = json.loads(text)
        self.is_spent = found.pop("is_spent")
        return found, content

    def is_alive(self) -> bool:
        """Return whether the process waits for a request: then its socket is open, and has nothing to be read."""
        try:
            self._peer.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    async def end(self) -> int:
        """Kill the process; return its status."""
        self._peer.close()
        if self._process.returncode is None:
            # Not `kill()`: for a process that has just ended it takes the status away from `wait()`.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        status = await self._process.wait()
        await asyncio.wait([self._relaying])
        return status

    async def _receive(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            piece = await asyncio.get_running_loop().sock_recv(self._peer, length - len(received))
            if not piece:
                raise EOFError
            received += piece
        return bytes(received)
