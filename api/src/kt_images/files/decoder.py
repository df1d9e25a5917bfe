"""The program that decodes pictures, in a process that the kernel limits: `python3 -m kt_images.files.decoder`.

Decoders are hostile ground: they loop, inflate and overflow on bytes that an attacker chose. Here they run where that
costs one picture. The process has no network, no files but the picture's, a limit on its memory, and for each picture a
limit on its processor time by what the picture declares; what goes beyond is killed, or fails here.

On its socket it takes a request with an open file (SCM_RIGHTS), and gives an answer: the lengths of two parts, in 4
bytes each, a JSON object, and bytes.
"""

import contextlib
import json
import math
import os
import resource
import socket
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from kt_images.errors import InvalidRequestError, KtImagesError, TooLargeError, UnsupportedMediaTypeError
from kt_images.files import pictures, shrinking

# A request is far smaller, and is sent in one piece.
MAX_REQUEST = 4096
LENGTHS = struct.Struct(">II")

ERRORS = (TooLargeError, InvalidRequestError, UnsupportedMediaTypeError)

# Processor time for any picture, for each byte of its file and for each pixel that it declares; an AVIF or a
# progressive JPEG takes about a quarter of it.
SECONDS = 1.0
SECONDS_PER_BYTE = 50e-9
SECONDS_PER_PIXEL = 250e-9

# Of memory that a decoder needs for a pixel: at least, whatever the format; at most, for the greediest of them.
LEAST_BYTES, MOST_BYTES = 4, 16


class Allowance:
    """What the kernel lets one picture have. Memory is in bytes above what the process needs by itself."""

    def __init__(self, baseline: int, memory: int, size: int) -> None:
        """`size` is that of the picture's file, in bytes."""
        self._memory, self._pixels = memory, 0
        self._used = sum(os.times()[:2])
        self._seconds = SECONDS + SECONDS_PER_BYTE * size
        _limit(resource.RLIMIT_AS, baseline + memory)
        self._limit_time()

    def declare(self, pixels: int) -> None:
        """Allow for a frame of so many pixels. Raises MemoryError when they cannot fit."""
        self._pixels = max(self._pixels, pixels)
        if LEAST_BYTES * pixels > self._memory:
            raise MemoryError
        self._seconds += SECONDS_PER_PIXEL * pixels
        self._limit_time()

    def is_too_small(self) -> bool:
        """Return whether an honest picture of this size may need more memory."""
        return MOST_BYTES * self._pixels > self._memory

    def _limit_time(self) -> None:
        _limit(resource.RLIMIT_CPU, math.ceil(self._used + self._seconds))


def main() -> None:
    """Decode what is asked for until the other end of the socket is closed."""
    descriptor, max_pixels = map(int, sys.argv[1:])
    with socket.socket(fileno=descriptor) as peer:
        pictures.prepare(max_pixels)
        _confine(peer)
        baseline = _address_space()
        peer.sendall(b"\n")
        while request := socket.recv_fds(peer, MAX_REQUEST, 1):
            message, files, *_ = request
            if not message:
                return
            with os.fdopen(files[0], "rb") as file:
                _answer(peer, *_perform(json.loads(message), file, baseline, max_pixels))


def _perform(request: dict[str, Any], file: BinaryIO, baseline: int, max_pixels: int) -> tuple[dict[str, Any], bytes]:
    """Return the answer's two parts: what was found or what went wrong, and a thumbnail."""
    allowance = Allowance(baseline, request["memory"], os.fstat(file.fileno()).st_size)
    try:
        if width := request.get("width"):
            return {}, shrinking.shrink(file, width, allowance.declare)
        return {"picture": pictures.inspect(file, max_pixels, allowance.declare).__dict__}, b""
    except MemoryError:
        return {"needs_more_memory": allowance.is_too_small()}, b""
    except KtImagesError as error:
        return {"error": type(error).__name__, "sentence": str(error)}, b""


def _answer(peer: socket.socket, found: dict[str, Any], content: bytes) -> None:
    text = json.dumps(found).encode()
    peer.sendall(LENGTHS.pack(len(text), len(content)) + text)
    peer.sendall(content)


def _confine(peer: socket.socket) -> None:
    """Give up what decoding does not need: output, cores, files of its own, and any descriptor but one more."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # what libraries complain of is an attacker's words
    os.close(silence)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    # Descriptors are numbered from the lowest that is free: there is one for the picture, and none for a socket.
    _limit(resource.RLIMIT_NOFILE, max(3, peer.fileno()) + 2)
    with contextlib.suppress(OSError):  # Linux: if memory runs out all the same, this process goes first
        os.write(score := os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"1000")
        os.close(score)


def _limit(what: int, value: int) -> None:
    """Set a limit; where the system has no such limit, the deadline of the other end remains."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (value, resource.getrlimit(what)[1]))


def _address_space() -> int:
    """Return the bytes of address space in use; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
