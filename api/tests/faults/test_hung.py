"""A disk or a database that hangs, really: a frozen file system, stopped processes. Nobody waits for long."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import threading
import time
from io import BytesIO

import psutil
import pytest

from kt_images.database import embedded, schema
from kt_images.database.connection import Connection, Limits
from kt_images.files import threads
from kt_images.serving.server import CLOSING_SECONDS, LAST_BYTES_SECONDS
from pictures import drawn
from services import wait_until
from stopped import stopped
from victim import Victim, a_picture

PNG = drawn("PNG")
SOON = 20  # seconds, where what hangs does so until it is let go; a machine without other work needs two of them


@pytest.fixture
def freezable(tmp_path):
    """A file system of its own, on a disk that is a file; gives its folder."""
    if missing := [name for name in ("mkfs.ext4", "fsfreeze", "mount") if not shutil.which(name)]:
        pytest.skip(f"there is no {missing[0]} here")
    image, folder = tmp_path / "disk", tmp_path / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, folder]):
        tried = subprocess.run(command, check=False, capture_output=True, text=True)
        if tried.returncode:
            pytest.skip(f"nothing may be mounted here: {tried.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def frozen(folder):
    """Have everything that writes to the file system wait, as a disk without an answer does."""
    subprocess.run(["fsfreeze", "-f", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", folder], check=True)


async def upload(client, url="/images/1/attachment/b"):
    return await client.post(url, data={"image": BytesIO(PNG)})


async def timed(request):
    """Return the answer's status, and after how many seconds it came."""
    started = time.monotonic()
    return (await request).status, time.monotonic() - started


async def test_a_frozen_disk_refuses_uploads_serves_on_and_is_well_once_it_thaws(serve, freezable, monkeypatch):
    monkeypatch.setattr(threads, "WRITE_SECONDS", 1)
    client = await serve(uploads_dir=freezable / "images", collect_interval=0.2, collect_grace=60)
    await client.post("/images", json={"filename": "a"})
    assert (await upload(client, "/images/1/attachment/a")).status == 200
    with frozen(freezable):
        uploads = await asyncio.gather(*(timed(upload(client)) for _ in range(20)))
        assert all(status == 503 and seconds < SOON for status, seconds in uploads), uploads
        for url in ("/readyz", "/media/1/a", "/media/1/a?width=160", "/images", "/healthz"):
            status, seconds = await timed(client.get(url))
            assert status == 200 or url == "/readyz", url
            assert seconds < SOON, url
        assert (await client.post("/images", json={"filename": "b"})).status == 201
        assert (await client.delete("/images/2")).status == 204
    monkeypatch.setattr(threads, "WRITE_SECONDS", 60)
    assert (await upload(client)).status == 200
    assert await (await client.get("/media/1/b")).read() == PNG
    async with asyncio.timeout(20):
        while list((freezable / "images" / "incoming").iterdir()):
            await asyncio.sleep(0.05)


async def test_a_database_that_hangs_is_answered_for_in_time_and_is_well_once_it_goes_on(serve, folder):
    data = folder / "hung"
    with embedded.running(data) as dsn:
        connection = await Connection.open(dsn, Limits())
        await schema.upgrade(connection)
        connection.close()
        client = await serve(postgres_dsn=dsn, statement_timeout=1, stream_patience=2, acquire_timeout=2)
        await client.post("/images", json={"filename": "a"})
        assert (await upload(client, "/images/1/attachment/a")).status == 200
        assert (await client.get("/images")).status == 200
        with stopped(data):
            ready = asyncio.create_task(timed(client.get("/readyz")))
            requests = [client.get(url) for url in ("/images/1", "/images", "/media/1/a", "/images/1/attachments") * 5]
            requests += [client.post("/images", json={"filename": "b"}), client.delete("/images/1"), upload(client)]
            answers = await asyncio.gather(*map(timed, requests))
            assert all(status in {503, 504} and seconds < SOON for status, seconds in answers), answers
            status, seconds = await ready
            assert (status, seconds < SOON) == (503, True)
            assert (await client.get("/healthz")).status == 200
        async with asyncio.timeout(10):
            while (await client.get("/readyz")).status != 200:
                await asyncio.sleep(0.05)
        assert (await client.post("/images", json={"filename": "c"})).status == 201
        assert (await upload(client)).status in {200, 404}  # its image may be deleted by now


@pytest.mark.usefixtures("strace")
def test_a_disk_that_hangs_does_not_keep_the_service_from_ending(dsn, tmp_path):
    with Victim(dsn, tmp_path / "images", grace_period=1) as victim:
        image = victim.new_image()
        assert victim.upload(image, "a", a_picture()) == 200
        with victim.traced(victim.file_threads(), "-o", "/dev/null", "-e", "inject=fsync:delay_enter=100000000"):
            uploading = threading.Thread(target=victim.upload, args=(image, "b", a_picture()))
            uploading.start()
            time.sleep(0.5)
            victim.process.send_signal(signal.SIGTERM)
            process = psutil.Process(victim.process.pid)  # it cannot be waited for before strace lets the thread go
            wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 1 + LAST_BYTES_SECONDS + CLOSING_SECONDS + 15)
            uploading.join()
        assert victim.process.wait(20) == 1
