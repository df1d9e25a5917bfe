"""The processes that decode pictures: as many as processors, started when they are needed, replaced when they end.

A picture gets an equal share of the memory for decoding. One that needs more gets all of it, when no other is decoded.
Uploads and thumbnails wait in queues of their own.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from kt_images import errors
from kt_images.files import decoder
from kt_images.files.pictures import TOO_DEMANDING, Picture
from kt_images.files.turns import Turns
from kt_images.shielding import shielded

logger = logging.getLogger(__name__)

# The kernel limits processor time; this is for a process that does not get any, or waits for a disk.
DEADLINE_SECONDS = 60.0
START_SECONDS = 20.0
# Waiting for their turn, of uploads and of thumbnails each.
MAX_WAITING = 256
# Pictures until a process is replaced, in case that something leaks.
LIFETIME = 1000

# Bytes; a thumbnail of the largest width is far smaller.
MAX_ANSWER = 64 * 2**20

UPLOADS, THUMBNAILS = "uploads", "thumbnails"

# The environment has passwords, which a decoder does not need.
PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG")


# Opens the file of a picture.
Opening = Callable[[], AbstractAsyncContextManager[BinaryIO]]


class Decoders:
    """Decodes pictures in processes of their own; `memory` is in bytes, for all of them together."""

    def __init__(self, max_pixels: int, memory: int) -> None:
        self._max_pixels, self._memory = max_pixels, memory
        self._turns = Turns(os.cpu_count() or 1, MAX_WAITING)
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await asyncio.gather(*(process.end() for process in [*self._idle, *self._busy]))

    async def inspect(self, path: Path) -> Picture:
        """Decode the file's picture completely; return what it is.

        Raises as `pictures.inspect()`, and UnavailableError.
        """
        found, _ = await self._run(UPLOADS, lambda: _local_file(path), {})
        return Picture(**found["picture"])

    async def shrink(self, opening: Opening, width: int) -> bytes:
        """Return the file's picture as a thumbnail. Raises as `shrinking.shrink()`, and UnavailableError."""
        _, thumbnail = await self._run(THUMBNAILS, opening, {"width": width})
        return thumbnail

    async def _run(self, queue: str, opening: Opening, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        for places in (1, self._turns.size):
            # Opened when its turn has come: a queue of hundreds holds no descriptors.
            async with self._turns.turn(queue, places), opening() as file:
                request["memory"] = self._memory * places // self._turns.size
                found, content = await shielded(self._decode(file, request))
            if not found.get("needs_more_memory"):
                break
        if "needs_more_memory" in found:
            raise errors.TooLargeError(TOO_DEMANDING)
        if "error" in found:
            raise {error.__name__: error for error in decoder.ERRORS}[found["error"]](found["sentence"])
        return found, content

    async def _decode(self, file: BinaryIO, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Have a process do it; one that does not survive it has met a picture that is too demanding."""
        async with self._process() as process:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    return await process.ask(file, request)
            except (EOFError, OSError, TimeoutError):
                status = await process.end()
                logger.warning("A picture was refused: its decoder did not survive it (status %d)", status)
                # Out of time is final; some libraries abort when they are out of memory.
                return {"needs_more_memory": status not in {-signal.SIGXCPU, -signal.SIGKILL}}, b""

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator["_Process"]:
        """Lend a process: one that waits for work, or a new one."""
        while self._idle and not self._idle[-1].is_alive():
            await self._idle.pop().end()
        process = self._idle.pop() if self._idle else await _Process.start(self._max_pixels)
        self._busy.add(process)
        try:
            yield process
        finally:
            self._busy.remove(process)
            if process.is_alive() and process.asked < LIFETIME:
                self._idle.append(process)
            else:
                await process.end()


@contextlib.asynccontextmanager
async def _local_file(path: Path) -> AsyncIterator[BinaryIO]:
    with path.open("rb") as file:
        yield file


class _Process:
    """A process of `decoder.py`, and our end of its socket."""

    def __init__(self, process: asyncio.subprocess.Process, peer: socket.socket) -> None:
        self._process, self._peer = process, peer
        self.asked = 0

    @classmethod
    async def start(cls, max_pixels: int) -> Self:
        """Raise UnavailableError when the program does not start."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "kt_images.files.decoder", str(theirs.fileno()), str(max_pixels),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                # With an arena for each thread, address space says nothing about memory.
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"MALLOC_ARENA_MAX": "1"},
            )  # fmt: skip
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
        return json.loads(text), content

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
        return await self._process.wait()

    async def _receive(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            piece = await asyncio.get_running_loop().sock_recv(self._peer, length - len(received))
            if not piece:
                raise EOFError
            received += piece
        return bytes(received)
