"""A disk that does not answer: nobody waits for it for ever, and what it can still do is done."""

import asyncio
import os
import threading
import time
from io import BytesIO

import pytest

from kt_images.files import cached, disk, threads
from kt_images.files.disk import Disk
from pictures import drawn

PNG = drawn("PNG")


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "example.jpg"})
    await upload(client, "a")
    return client


@pytest.fixture
def hang(monkeypatch):
    """Have a function hang until the end of the test, or until the event that is given is set."""
    events = []

    def make(place, name):
        event, original = threading.Event(), getattr(place, name)
        events.append(event)

        def hanging(*arguments, **options):
            event.wait(30)
            return original(*arguments, **options)

        monkeypatch.setattr(place, name, hanging)
        return event

    yield make
    for event in events:
        event.set()


async def upload(client, name):
    return await client.post(f"/images/1/attachment/{name}", data={"image": BytesIO(PNG)})


async def test_a_disk_that_takes_no_writes_refuses_uploads_and_serves_on(image, settings, hang, monkeypatch):
    monkeypatch.setattr(threads, "WRITE_SECONDS", 0.3)
    event = hang(os, "fsync")
    started = time.monotonic()
    answers = await asyncio.gather(*(upload(image, "b") for _ in range(30)))
    assert time.monotonic() - started < 10
    assert {answer.status for answer in answers} == {503}
    assert {(await answer.json())["error"] for answer in answers} == {threads.StuckError.sentence}
    assert await (await image.get("/media/1/a")).read() == PNG
    assert (await image.get("/images/1")).status == 200
    event.set()
    monkeypatch.setattr(threads, "WRITE_SECONDS", 60)
    async with asyncio.timeout(20):
        while list((settings.uploads_dir / "incoming").iterdir()):
            await asyncio.sleep(0.05)
    assert (await upload(image, "b")).status == 200


async def test_a_disk_that_gives_no_files_is_a_503_within_seconds(image, hang, monkeypatch):
    monkeypatch.setattr(threads, "READ_SECONDS", 0.3)
    monkeypatch.setattr(cached, "read", lambda *_: None)  # such a disk's files are not in memory
    hang(disk, "_open_file")
    started = time.monotonic()
    answer = await image.get("/media/1/a")
    assert answer.status == 503
    assert time.monotonic() - started < 5
    assert (await image.get("/images/1")).status == 200


async def test_readiness_is_told_within_seconds_while_the_store_hangs(image, hang):
    hang(Disk, "_check")
    started = time.monotonic()
    answers = await asyncio.gather(*(image.get("/readyz") for _ in range(5)))
    assert time.monotonic() - started < 4
    assert {(answer.status, (await answer.json())["error"]) for answer in answers} == {(503, "Not reachable: store")}
    assert (await image.get("/healthz")).status == 200


async def test_a_call_that_is_cancelled_while_it_hangs_ends_when_it_may_take_no_longer(monkeypatch):
    monkeypatch.setattr(threads, "READ_SECONDS", 0.3)
    event = threading.Event()
    reading = asyncio.create_task(threads.read(event.wait, 30))
    await asyncio.sleep(0.05)
    reading.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([reading])
    assert reading.cancelled()
    event.set()
