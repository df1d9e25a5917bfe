"""A disk that does not answer: nobody waits for it for ever, and what it can still do is done."""

import asyncio
import os
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest

from kt_images import collector
from kt_images.files import cached, disk, threads
from kt_images.files.disk import Disk
from pictures import drawn

PNG, LARGE = drawn("PNG"), drawn("PNG", (400, 300))
NEED_NO_STORE = {"/healthz", "/images", "/images/1/attachments", "/images/1/attachment/d"}


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "example.jpg"})
    await upload(client, "a")
    return client


async def upload(client, name, content=PNG):
    return await client.post(f"/images/1/attachment/{name}", data={"image": BytesIO(content)})


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


CALLS = [
    (os, "open"), (os, "write"), (os, "fsync"), (os, "close"), (os, "pread"), (os, "fstat"), (os, "access"), (os, "scandir"), (Path, "open"),
    (threads, "File"), (Path, "mkdir"), (Path, "exists"), (Path, "rename"), (Path, "unlink"), (Path, "read_bytes"), (disk, "_open_file"), (Disk, "_check"),
]  # fmt: skip
REQUESTS = [
    ("GET", "/readyz"), ("GET", "/healthz"), ("GET", "/images"), ("GET", "/images/1/attachments"), ("GET", "/media/1/a"),
    ("GET", "/media/1/a?width=160"), ("GET", "/media/1/c?width=160"), ("HEAD", "/media/1/a"), ("DELETE", "/images/1/attachment/d"),
    ("POST", "/images/1/attachment/b"), ("POST", "/images/upload"), ("POST", "/images"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "name"), CALLS)
async def test_whatever_hangs_each_answer_comes_in_time_and_it_is_well_again_afterwards(
    image, pool, settings, hang, monkeypatch, place, name
):
    async def send(method, url):
        content = {"json": {"filename": "x"}} if url == "/images" else {"data": {"image": BytesIO(LARGE)}}
        started = time.monotonic()
        answer = await image.request(method, url, **(content if method == "POST" else {}))
        return url, answer.status, time.monotonic() - started

    for name_of_it in "cde":
        await upload(image, name_of_it, LARGE)
    await image.delete("/images/1/attachment/e")  # something to collect
    await pool.query("update orphans set since = now() - interval '1 hour'")
    with monkeypatch.context() as hurried:
        hurried.setattr(threads, "WRITE_SECONDS", 0.3)
        hurried.setattr(threads, "READ_SECONDS", 0.3)
        event = hang(place, name)
        collecting = asyncio.create_task(collector.collect(pool, Disk(settings.uploads_dir), (160,), 60))
        answers = await asyncio.gather(*(send(*one) for one in REQUESTS))
        await asyncio.wait([collecting], timeout=20)
        assert collecting.done()
        event.set()
    assert all(seconds < 15 for _, _, seconds in answers), answers
    assert all(status in {200, 201, 204, 503} for _, status, _ in answers), answers
    assert {url for url, status, _ in answers if status == 503} <= {
        url for _, url in REQUESTS if url not in NEED_NO_STORE
    }
    async with asyncio.timeout(20):
        while list((settings.uploads_dir / "incoming").iterdir()):
            await asyncio.sleep(0.05)
    assert (await upload(image, "d")).status == 200
    assert await (await image.get("/media/1/d")).read() == PNG
    assert (await image.get("/readyz")).status == 200


async def test_the_event_loop_itself_asks_nothing_of_the_disk(image, pool, settings, monkeypatch):
    asked = []

    def watch(place, name, original):
        def watching(*arguments, **options):
            if threading.current_thread() is threading.main_thread() and str(settings.uploads_dir) in str(arguments):
                asked.append((name, arguments))
            return original(*arguments, **options)

        monkeypatch.setattr(place, name, watching)

    for place, name in CALLS:
        watch(place, name, getattr(place, name))
    for method, url in REQUESTS:
        content = {"json": {"filename": "x"}} if url == "/images" else {"data": {"image": BytesIO(LARGE)}}
        await image.request(method, url, **(content if method == "POST" else {}))
    await collector.collect(pool, Disk(settings.uploads_dir), (160,), 0)
    assert asked == []


async def test_a_file_that_comes_to_its_place_too_late_does_not_come(image, pool, settings, hang, monkeypatch):
    """The collector was there meanwhile, and has forgotten the key."""
    monkeypatch.setattr(threads, "WRITE_SECONDS", 0.3)
    event = hang(disk, "_sync_folder")
    monkeypatch.setattr(disk.Path, "exists", lambda _: False)  # each folder is new
    assert (await upload(image, "b")).status == 503
    monkeypatch.undo()
    assert await collector.collect(pool, Disk(settings.uploads_dir), (), 0) == 1
    event.set()
    async with asyncio.timeout(20):
        while list((settings.uploads_dir / "incoming").iterdir()):
            await asyncio.sleep(0.05)
    assert len([path for path in (settings.uploads_dir / "objects").rglob("*") if path.is_file()]) == 1


async def test_a_disk_that_gives_no_files_is_a_503_within_seconds(image, hang, monkeypatch):
    monkeypatch.setattr(threads, "READ_SECONDS", 0.3)
    monkeypatch.setattr(cached, "read", lambda *_: None)  # such a disk's files are not in memory
    hang(disk, "_open_file")
    started = time.monotonic()
    answer = await image.get("/media/1/a")
    assert answer.status == 503
    assert time.monotonic() - started < 15
    assert (await image.get("/images/1")).status == 200


async def test_readiness_is_told_within_seconds_while_the_store_hangs(image, hang):
    hang(Disk, "_check")
    started = time.monotonic()
    answers = await asyncio.gather(*(image.get("/readyz") for _ in range(5)))
    assert time.monotonic() - started < 15
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
