"""A disk that takes its time to read: only who waits for the file has to wait."""

import os
import threading
import time

import pytest

from kt_images.files import cached
from pictures import drawn
from victim import Victim

DELAY = 0.4  # seconds to open a file of the disk, and for each read


@pytest.mark.parametrize("size", [(200, 200), (1000, 1000)], ids=["small", "large"])
def test_a_cold_file_keeps_nobody_else_waiting(strace, dsn, uploads, size):
    picture, slowest, ended = drawn("BMP", size), [0.0], threading.Event()
    with Victim(dsn, uploads) as victim:
        image = victim.new_image()
        assert victim.upload(image, "a", picture) == 200
        assert victim.download(image, "a") == picture
        forget(uploads)

        def ask_others():
            while not ended.is_set():
                before = time.monotonic()
                assert victim.call("/healthz")[0] == 200
                slowest[0] = max(slowest[0], time.monotonic() - before)

        asking = threading.Thread(target=ask_others)
        delayed = f"inject=openat,pread64:delay_enter={DELAY * 1e6:.0f}"
        with victim.traced(victim.loop_thread() + victim.file_threads(), "-o", "/dev/null", "-e", delayed):
            asking.start()
            before = time.monotonic()
            status, body = victim.call(f"/media/{image}/a")
            waited = time.monotonic() - before
            ended.set()
            asking.join()
    assert (status, body) == (200, picture)
    assert waited > DELAY > slowest[0]


def forget(folder):
    """Have the kernel drop the files from its memory."""
    for path in folder.rglob("*.bmp"):
        with path.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if cached.has(opened.fileno(), range(path.stat().st_size)):
                pytest.skip("this file system is in memory")
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # the look made the kernel read ahead
