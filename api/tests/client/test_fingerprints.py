"""The SHA-256 of local files."""

import asyncio
import hashlib

import pytest

from kt_images.client.fingerprints import CHUNK_SIZE, fingerprint, is_unchanged


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE, CHUNK_SIZE + 1])
async def test_the_whole_file_is_read(tmp_path, size):
    path = tmp_path / "a"
    path.write_bytes(b"x" * size)
    found = await fingerprint(path)
    assert found.sha256 == hashlib.sha256(b"x" * size).hexdigest()
    assert is_unchanged(path, found)
    path.write_bytes(b"x" * (size + 1))
    assert not is_unchanged(path, found)


async def test_a_file_that_nobody_waits_for_is_not_read_on(tmp_path):
    with (path := tmp_path / "large").open("wb") as file:
        file.truncate(2**34)  # which takes no space, and many seconds to read
    reading = asyncio.create_task(fingerprint(path))
    await asyncio.sleep(0.2)
    reading.cancel()
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 5)
    assert reading.cancelled()
