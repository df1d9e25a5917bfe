"""The processes that decode pictures: as many as processors, started when they are needed, replaced when they end.

A picture gets an equal share of the memory for decoding, and half a second. One that needs more memory gets all of it,
when no other is decoded; one that needs more time waits until few others do.
Uploads of each client, and thumbnails, wait in queues of their own.
"""

import asyncio
import contextlib
import io
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from kt_images import errors, metrics
from kt_images.files import decoder, threads
from kt_images.files.decoder_process import DecoderProcess
from kt_images.files.failures import translate
from kt_images.files.pictures import DAMAGED_OR_TOO_DEMANDING, TOO_DEMANDING, Picture
from kt_images.files.turns import Queue, Turns
from kt_images.shielding import shielded

logger = logging.getLogger(__name__)

# The kernel limits processor time; this is for a process that does not get any, or waits for a disk.
DEADLINE_SECONDS = 60.0
# Of processor time: nearly all pictures take less. Those that take more wait for each other, so that a place is left
# for the others where there are several.
QUICK_SECONDS = 0.5
# Waiting for their turn, of uploads and of thumbnails each.
MAX_WAITING = 256
# Of memory, in bytes: enough for most pictures. With less for each there are fewer processes.
LEAST_SHARE = 128 * 2**20
# Pictures until a process is replaced, in case that something leaks.
LIFETIME = 1000

UNLIMITED = "This system does not limit the memory of a process: a picture can take more than KT_IMAGES_DECODE_MEMORY"

UPLOADS, THUMBNAILS = "uploads", "thumbnails"

# Opens the file of a picture.
Opening = Callable[[], AbstractAsyncContextManager[BinaryIO]]


class Decoders:
    """Decodes pictures in processes of their own; `memory` is in bytes, for all of them together."""

    def __init__(self, max_pixels: int, memory: int) -> None:
        self._max_pixels, self._memory = max_pixels, memory
        self._turns = Turns(max(1, min(_processors(), memory // LEAST_SHARE)), MAX_WAITING)
        self._demanding = Turns(max(1, self._turns.size - 1), MAX_WAITING)
        self._idle: list[DecoderProcess] = []
        self._busy: set[DecoderProcess] = set()
        self._has_ended = False

    async def __aenter__(self) -> Self:
        if not decoder.limits_memory():
            logger.warning(UNLIMITED)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """Kill the processes. Whoever waits for a picture gets UnavailableError, as does whoever asks from now on."""
        self._has_ended = True
        await asyncio.gather(*(process.end() for process in [*self._idle, *self._busy]))

    async def inspect(self, path: Path, widths: Iterable[int] = (), client: str = "") -> Picture:
        """Decode the file's picture completely; return what it is, with thumbnails of those widths that it exceeds.

        The pictures of each `client` wait in a queue of their own.

        Raises as `pictures.inspect()` and `shrinking.smaller()`, and UnavailableError.
        """
        found, content = await self._run((UPLOADS, client), lambda: _local_file(path), {"widths": [*widths]})
        rest = io.BytesIO(content)
        thumbnails = {int(width): rest.read(length) for width, length in found["thumbnails"].items()}
        metrics.THUMBNAILS_MADE.inc(len(thumbnails))
        return Picture(**found["picture"] | {"thumbnails": thumbnails})

    async def shrink(self, opening: Opening, width: int) -> bytes:
        """Return the file's picture as a thumbnail. Raises as `shrinking.shrink()`, and UnavailableError."""
        _, thumbnail = await self._run((THUMBNAILS, ""), opening, {"width": width})
        return thumbnail

    async def _run(self, queue: Queue, opening: Opening, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        found, content = await self._attempt(queue, opening, request, 1, QUICK_SECONDS)
        if found.get("lacks"):
            async with self._demanding.turn(queue):
                for places in self._further(found["lacks"]):
                    found, content = await self._attempt(queue, opening, request, places, DEADLINE_SECONDS)
                    if found.get("lacks") != "memory":
                        break
        _raise_failure(found)
        return found, content

    def _further(self, lacks: str) -> list[int]:
        """Return with how many shares of the memory a picture is tried again that has lacked memory or time."""
        everything = self._turns.size
        if lacks == "time":
            return sorted({1, everything})
        return [everything] if everything > 1 else []

    async def _attempt(
        self, queue: Queue, opening: Opening, request: dict[str, Any], places: int, seconds: float
    ) -> tuple[dict[str, Any], bytes]:
        """Give the picture so many shares of the memory, and so much processor time at most."""
        memory = self._memory * places // self._turns.size
        # Opened when its turn has come: a queue of hundreds holds no descriptors.
        async with contextlib.AsyncExitStack() as stack:
            with metrics.PICTURES_WAITING.track_inprogress():
                await stack.enter_async_context(self._turns.turn(queue, places))
            file = await stack.enter_async_context(opening())
            stack.enter_context(metrics.PICTURES_DECODING.track_inprogress())
            return await shielded(self._decode(file, request | {"memory": memory, "seconds": seconds}))

    async def _decode(self, file: BinaryIO, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Have a process do it; say what one has lacked that does not survive it."""
        async with self._process() as process:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    return await process.ask(file, request)
            except (EOFError, OSError, TimeoutError):
                status = await process.end()
                self._refuse_after_end()
        if status == -signal.SIGPROF and request["seconds"] < DEADLINE_SECONDS:
            return {"lacks": "time"}, b""
        size = os.fstat(file.fileno()).st_size
        metrics.DECODERS_LOST.inc()
        logger.warning("A decoder did not survive a picture of %d bytes (status %d)", size, status)
        # Killed is final; some libraries abort when they are out of memory.
        return {"lacks": None if status in {-signal.SIGPROF, -signal.SIGKILL} else "memory"}, b""

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[DecoderProcess]:
        """Lend a process: one that waits for work, or a new one."""
        self._refuse_after_end()
        while self._idle and not self._idle[-1].is_alive():
            await self._idle.pop().end()
        process = self._idle.pop() if self._idle else await DecoderProcess.start(self._max_pixels, self._memory)
        self._busy.add(process)
        try:
            self._refuse_after_end()  # which may have come while the process was being started
            yield process
        finally:
            self._busy.remove(process)
            if self._may_serve_on(process):
                self._idle.append(process)
            else:
                await process.end()

    def _may_serve_on(self, process: DecoderProcess) -> bool:
        return process.is_alive() and not process.is_spent and process.asked < LIFETIME and not self._has_ended

    def _refuse_after_end(self) -> None:
        if self._has_ended:
            raise errors.UnavailableError("The service is stopping; please try again")


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _raise_failure(found: dict[str, Any]) -> None:
    """Raise the error that a decoder's answer stands for, if it does."""
    match found:
        case {"error": "InvalidRequestError", "lacks": "memory"}:
            raise errors.InvalidRequestError(DAMAGED_OR_TOO_DEMANDING)
        case {"error": str(name), "sentence": str(sentence)}:
            raise {error.__name__: error for error in decoder.ERRORS}[name](sentence)
        case {"lacks": _}:
            raise errors.TooLargeError(TOO_DEMANDING)


@contextlib.asynccontextmanager
async def _local_file(path: Path) -> AsyncIterator[BinaryIO]:
    with errors.translated_errors(translate):
        opened = await threads.read(threads.File, path)
    with io.BufferedReader(opened) as file:
        yield file
