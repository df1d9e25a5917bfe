"""The program that decodes pictures, in a process that the kernel limits: `python3 -m kt_images.files.decoder`.

Decoders are hostile ground: they loop, inflate and overflow on bytes that an attacker chose. Here they run where that
costs one picture. The process has no network, no files but the picture's, a limit on its memory, and for each picture a
limit on its processor time by what the picture declares; what goes beyond is killed, or fails here.

On its socket it takes a request with an open file (SCM_RIGHTS), and gives an answer: the lengths of two parts, in 4
bytes each, a JSON object, and bytes: those of the thumbnails, one behind the other.
"""

import contextlib
import encodings.latin_1
import encodings.utf_16
import gc
import json
import os
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageCms, ImageColor, ImageFilter, ImagePalette, TiffImagePlugin

from kt_images.errors import InvalidRequestError, KtImagesError, TooLargeError, UnsupportedMediaTypeError
from kt_images.files import pictures, shrinking

# A request is far smaller, and is sent in one piece.
MAX_REQUEST = 4096
LENGTHS = struct.Struct(">II")

# What Pillow imports when a picture needs it: by then there is no descriptor for that.
PRELOADED = (ImageCms, ImageColor, ImageFilter, ImagePalette, TiffImagePlugin, encodings.latin_1, encodings.utf_16)

ERRORS = (TooLargeError, InvalidRequestError, UnsupportedMediaTypeError)

# Processor time for any picture, for each byte of its file and for each pixel that it declares; an AVIF or a
# progressive JPEG takes about a quarter of it. A thumbnail gets more: what was accepted must give it.
SECONDS = 1.0
SECONDS_PER_BYTE = 20e-9
SECONDS_PER_PIXEL = 250e-9
TIMES_FOR_A_THUMBNAIL = 2

# Linux's account of this process's memory.
STATM = Path("/proc/self/statm")

# Behind the standard streams.
PEER = 3
MAX_DESCRIPTORS = 2**16

# Bytes that may stay in use after a picture.
SLACK = 32 * 2**20

# Of memory that a decoder needs for a pixel: at least, whatever the format; at most, for the greediest of them.
LEAST_BYTES, MOST_BYTES = 4, 16


class Allowance:
    """What the kernel lets one picture have. Memory is in bytes above what the process needs by itself."""

    def __init__(self, baseline: int, memory: int, size: int, times: int, most_seconds: float) -> None:
        """`size` is that of the picture's file, in bytes; `times` as much time as usual, and `most_seconds` at most."""
        self._memory, self._pixels = memory, 0
        self._times, self._most_seconds = times, most_seconds
        _limit(resource.RLIMIT_AS, baseline + memory)
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._allow(SECONDS + SECONDS_PER_BYTE * size)

    def declare(self, pixels: int) -> None:
        """Allow for a frame of so many pixels. Raises MemoryError when they cannot fit."""
        self._pixels = max(self._pixels, pixels)
        if LEAST_BYTES * pixels > self._memory:
            raise MemoryError
        self._allow(SECONDS_PER_PIXEL * pixels)

    def is_too_small(self) -> bool:
        """Return whether an honest picture of this size may need more memory."""
        return MOST_BYTES * self._pixels > self._memory

    def _allow(self, seconds: float) -> None:
        """Allow for more processor time; at its end the process is killed."""
        more = min(self._times * seconds, self._most_seconds)
        self._most_seconds -= more
        if more:  # 0 would be no limit
            # Not RLIMIT_CPU: it counts the ticks of the process's whole life, and these run ahead of every clock that
            # can be read, by a second after a dozen. An honest picture was killed for what came before it.
            signal.setitimer(signal.ITIMER_PROF, signal.getitimer(signal.ITIMER_PROF)[0] + more)


def main() -> None:
    """Decode what is asked for, until the other end of the socket is closed or too much memory stays in use."""
    descriptor, max_pixels, memory = map(int, sys.argv[1:])
    pictures.prepare(max_pixels)
    with _confined(descriptor) as peer:
        baseline = _address_space()
        _limit(resource.RLIMIT_AS, baseline + memory, baseline + memory)
        peer.sendall(b"\n")
        is_spent = False
        while not is_spent:
            message, files, *_ = socket.recv_fds(peer, MAX_REQUEST, 1)
            if not message:
                return
            with os.fdopen(files[0], "rb") as file:
                found, content = _perform(json.loads(message), file, baseline, max_pixels)
            is_spent = found["is_spent"] = _is_spent(baseline)
            _answer(peer, found, content)


def _perform(request: dict[str, Any], file: BinaryIO, baseline: int, max_pixels: int) -> tuple[dict[str, Any], bytes]:
    """Return the answer's two parts: what was found or what went wrong, and the thumbnails."""
    width = request.get("width")
    times, size = TIMES_FOR_A_THUMBNAIL if width else 1, os.fstat(file.fileno()).st_size
    allowance = Allowance(baseline, request["memory"], size, times, request["seconds"])
    thumbnails: dict[int, bytes] = {}
    try:
        if width:
            return {}, shrinking.shrink(file, width, allowance.declare)
        picture = pictures.inspect(file, max_pixels, allowance.declare, _thumbnails_into(thumbnails, request["widths"]))
        found = {"picture": picture.__dict__, "thumbnails": {width: len(made) for width, made in thumbnails.items()}}
        return found, b"".join(thumbnails.values())
    except MemoryError:
        return _failure(TooLargeError(pictures.TOO_DEMANDING), allowance.is_too_small()), b""
    except KtImagesError as error:
        # "Damaged" is what some libraries say when they get no memory.
        return _failure(error, isinstance(error, InvalidRequestError) and allowance.is_too_small()), b""


def _thumbnails_into(made: dict[int, bytes], widths: list[int]) -> pictures.Show:
    """Return what makes the thumbnails of a frame, of those widths that it is wider than."""

    def show(image: Image.Image, upright_width: int) -> None:
        made.update((width, shrinking.smaller(image, width)) for width in widths if width < upright_width)

    return show


def _failure(error: KtImagesError, lacks_memory: bool) -> dict[str, Any]:
    return {"error": type(error).__name__, "sentence": str(error), "lacks": "memory" if lacks_memory else None}


def _is_spent(baseline: int) -> bool:
    """Return whether the process holds memory that the next picture may need; failed pictures lie in cycles."""
    if _address_space() - baseline > SLACK:
        gc.collect()
    return _address_space() - baseline > SLACK


def _answer(peer: socket.socket, found: dict[str, Any], content: bytes) -> None:
    text = json.dumps(found).encode()
    peer.sendall(LENGTHS.pack(len(text), len(content)) + text)
    peer.sendall(content)


def _confined(descriptor: int) -> socket.socket:
    """Give up what decoding does not need; return the socket, the only descriptor left beside the standard streams."""
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in range(PEER):
        os.dup2(silence, stream)  # what libraries complain of is an attacker's words
    os.dup2(descriptor, PEER)
    os.closerange(PEER + 1, MAX_DESCRIPTORS)
    with contextlib.suppress(OSError):  # Linux: if memory runs out all the same, this process is the first to go
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_FSIZE, 0, 0)
    # The lowest free number is taken next: there is one for the picture, and none for a socket.
    _limit(resource.RLIMIT_NOFILE, PEER + 2, PEER + 2)
    return socket.socket(fileno=PEER)


def _limit(what: int, value: int, hard: int | None = None) -> None:
    """Set a limit, for good with `hard`; where the system has no such limit, the deadline of the other end remains."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (value, resource.getrlimit(what)[1] if hard is None else hard))


def limits_memory() -> bool:
    """Return whether this system holds RLIMIT_AS and says what it counts."""
    return STATM.exists()


def _address_space() -> int:
    """Return the bytes of address space in use; 0 where the system does not say."""
    try:
        return int(STATM.read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
