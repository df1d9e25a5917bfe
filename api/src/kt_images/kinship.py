"""Children that do not outlive their parent, however it ends."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # of linux/prctl.h
# Loaded here: between fork() and exec() another thread's lock may never be released.
LIBC = ctypes.CDLL(None)


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this signal to the calling process when the thread that started it ends; on Linux only."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, number)
