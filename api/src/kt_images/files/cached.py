"""Files that the kernel has in memory: they are read without waiting for a disk, in the event loop, without a thread.

Linux opens a file only if the folders on its way and its inode are in memory (openat2(2), RESOLVE_CACHED, since 5.12),
and reads from it only what is there (preadv2(2), RWF_NOWAIT). Elsewhere, and where a sandbox forbids these calls,
nothing is found: whoever asks goes to a thread instead, as for a file that is not in memory.
"""

import ctypes
import os
import sys
from pathlib import Path

# Constants of the kernel that Python lacks. The call has the same number on every architecture that it has reached.
OPENAT2, AT_FDCWD, RESOLVE_CACHED = 437, -100, 0x20

# The kernel reads a disk in pieces of about this size.
STRIDE = 64 * 1024


class _OpenHow(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# Keeps the interpreter's lock: the call is over in microseconds.
_syscall = ctypes.PyDLL(None).syscall
_how = _OpenHow(os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0, RESOLVE_CACHED)


def read(path: Path, most: int) -> bytes | None:
    """Return the whole file, None unless the kernel has it in memory and it has at most so many bytes."""
    if sys.platform != "linux":
        return None
    descriptor = _syscall(OPENAT2, AT_FDCWD, os.fsencode(path), ctypes.byref(_how), ctypes.sizeof(_how))
    if descriptor < 0:
        return None
    try:
        return _read(descriptor, most)
    except OSError:  # a page is not in memory, or it is no regular file
        return None
    finally:
        os.close(descriptor)


def has(descriptor: int, part: range) -> bool:
    """Return whether the kernel seems to have this part of an open file in memory: a look at a byte of each stride.

    Always true where the kernel cannot be asked.
    """
    if sys.platform != "linux":
        return True
    byte = bytearray(1)
    try:
        for start in (*part[::STRIDE], part[-1]):
            os.preadv(descriptor, [byte], start, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:  # a file system that does not answer that
        return True
    return True


def _read(descriptor: int, most: int) -> bytes | None:
    buffer, size = memoryview(bytearray(most + 1)), 0
    # Ends at the end of the file only: before a page that is not in memory, the next read fails.
    while got := os.preadv(descriptor, [buffer[size:]], size, os.RWF_NOWAIT):
        size += got
    return bytes(buffer[:size]) if size <= most else None
