"""Files in the kernel's memory are read at once; whatever would have to be waited for is not read here."""

import os
import sys
from pathlib import Path

import pytest

from kt_images.files import cached

CONTENT = os.urandom(500_000)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what it has in memory")


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "file"
    made.write_bytes(CONTENT)
    if cached.read(made, len(CONTENT)) is None:
        pytest.skip("this kernel, or the sandbox around, has no openat2")
    return made


def forget(path):
    """Have the kernel drop the file from its memory."""
    with path.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if cached.has(opened.fileno(), range(len(CONTENT))):
            pytest.skip("this file system is in memory")


def test_a_file_in_memory_is_read_whole(file):
    assert cached.read(file, len(CONTENT)) == CONTENT
    assert cached.read(file, 2**20) == CONTENT
    with file.open("rb") as opened:
        assert cached.has(opened.fileno(), range(len(CONTENT)))


def test_a_file_that_is_larger_than_wanted_is_not_read(file):
    assert cached.read(file, len(CONTENT) - 1) is None


def test_an_empty_file_is_read(file):
    file.write_bytes(b"")
    assert cached.read(file, 10) == b""


def test_a_file_that_is_on_the_disk_only_is_not_read(file):
    forget(file)
    assert cached.read(file, len(CONTENT)) is None
    file.read_bytes()
    assert cached.read(file, len(CONTENT)) == CONTENT


def test_nor_is_one_whose_end_is_not_in_memory(file):
    forget(file)
    with file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        assert os.pread(opened.fileno(), 100, 0) == CONTENT[:100]
        assert cached.has(opened.fileno(), range(100))
        assert not cached.has(opened.fileno(), range(len(CONTENT)))
    assert cached.read(file, len(CONTENT)) is None


def test_what_is_no_file_is_not_read(file, tmp_path):
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "fifo")
    for path in (
        tmp_path / "link",
        tmp_path / "fifo",
        tmp_path,
        tmp_path / "none",
        Path("/dev/zero"),
        Path("/dev/tty"),
    ):
        before = len(list(Path("/dev/fd").iterdir()))
        assert cached.read(path, 100) is None
        assert len(list(Path("/dev/fd").iterdir())) == before
