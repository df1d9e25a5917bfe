"""A worker, as the supervisor holds it: started, told where to listen, replaced, ended."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from kt_images.base_settings import Settings
from kt_images.kinship import end_with_parent
from kt_images.serving.sockets import Place


@dataclass(frozen=True)
class Failure:
    """Why a worker cannot serve; a final one would be met by every other worker, too."""

    sentence: str
    is_final: bool = False


class Child:
    """A process of `worker.py`, and our end of its line."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.pid, self.since = process.pid, time.monotonic()
        self.failure: Failure | None = None
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._listens: list[int] = []
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, settings: Settings, places: Sequence[Place], environment: Mapping[str, str]) -> Self:
        """Start a worker that may serve at any of the places. Raises OSError."""
        ours, theirs = socket.socketpair()
        numbers = [[one.fileno() for one in place] for place in places]
        passed = {theirs.fileno(), *(number for place in numbers for number in place)}
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "kt_images.serving.worker", str(theirs.fileno()),
                    *(",".join(map(str, place)) for place in numbers),
                    pass_fds=[*passed], stdin=asyncio.subprocess.DEVNULL, env=environment,
                    preexec_fn=partial(end_with_parent, signal.SIGKILL),
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours)
        # Not as arguments, nor as variables: the DSN has a password.
        writer.write(settings.model_dump_json().encode() + b"\n")
        return cls(process, reader, writer)

    async def ready(self) -> bool:
        """Wait until the worker can serve; return False if it ends before."""
        return await asyncio.shield(self._ready)

    def listen(self, numbers: list[int]) -> None:
        """Have it accept connections at the places of these numbers, and at no others."""
        if numbers != self._listens:
            self._listens = numbers
            self._tell(numbers)

    def retire(self) -> None:
        """Have it end as soon as its clients have learned that their connections close."""
        self._tell("retire")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait until it has ended; return its status. From then on `failure` is known."""
        status = await self._process.wait()
        await asyncio.wait([self._listening])
        return status

    async def _listen(self) -> None:
        """Take note of what it sends, until its end."""
        try:
            while line := await self._reader.readline():
                self._note(json.loads(line))
        except OSError:
            pass
        finally:
            if not self._ready.done():
                self._ready.set_result(False)
            self._writer.close()

    def _note(self, message: Any) -> None:
        if isinstance(message, dict):
            self.failure = Failure(**message)
        elif not self._ready.done():
            self._ready.set_result(True)

    def _tell(self, message: object) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")
