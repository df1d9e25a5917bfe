"""The end of a service with uploads in flight, and clients that leave at any moment."""

import asyncio
import random
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from half_upload import HEAD, HalfUpload
from pictures import drawn
from sql import ask
from victim import Victim

UPLOADS = 50


def test_uploads_that_are_complete_within_the_grace_period_succeed(dsn, uploads, cared_for):
    with Victim(dsn, uploads, grace_period=8) as victim:
        images = [victim.new_image() for _ in range(UPLOADS)]
        half = [HalfUpload(victim.url, image) for image in images]
        time.sleep(0.5)
        victim.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with ThreadPoolExecutor(UPLOADS) as pool:
            assert set(pool.map(HalfUpload.finish, half)) == {200}
        assert victim.process.wait(10) == 0
        for one in half:
            one.close()
    assert cared_for() == f"{UPLOADS} rows, {UPLOADS} objects: all is well\n"


def test_an_upload_that_is_not_complete_by_then_holds_nothing_up(dsn, uploads, cared_for):
    with Victim(dsn, uploads, grace_period=1) as victim, HalfUpload(victim.url, victim.new_image()):
        time.sleep(0.5)
        victim.process.send_signal(signal.SIGTERM)
        assert victim.process.wait(8) == 0
        assert list((uploads / "incoming").iterdir()) == []
    assert cared_for() == "0 rows, 0 objects: all is well\n"


def test_a_second_signal_ends_the_service_at_once(dsn, uploads, cared_for):
    with Victim(dsn, uploads, grace_period=60) as victim, HalfUpload(victim.url, victim.new_image()):
        time.sleep(0.5)
        victim.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            victim.process.wait(1)
        victim.process.send_signal(signal.SIGTERM)
        assert victim.process.wait(10) == 1
    assert cared_for() == "0 rows, 0 objects: all is well\n"


async def test_clients_that_leave_at_random_moments_leave_nothing_behind(serve, settings, dsn, thorough):
    client = await serve(pool_size=4, stream_pool_size=4)
    await client.post("/images", json={"filename": "a"})
    ask(dsn, "insert into images (filename) select repeat('x', 200) from generate_series(1, 2000)")
    dice, picture = random.Random(0), drawn("BMP", (100, 100))
    body = HEAD + picture + b"\r\n--b--\r\n"
    form = f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    new = b'Content-Type: application/json\r\nContent-Length: 16\r\n\r\n{"filename":"a"}'
    requests = [
        b"GET /images HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /images/1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /images HTTP/1.1\r\nHost: localhost\r\n" + new, b"POST /images/upload HTTP/1.1\r\nHost: localhost\r\n" + form,
        b"POST /images/1/attachment/a HTTP/1.1\r\nHost: localhost\r\n" + form, b"GET /media/1/a?width=160 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]  # fmt: skip

    async def leave():
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(dice.choice(requests))
        await asyncio.sleep(dice.random() * 0.05)
        writer.transport.abort()

    async def crowd(rounds):
        for _ in range(rounds):
            await asyncio.gather(*(leave() for _ in range(20)))

    def left():
        busy = "select count(*) from pg_stat_activity where application_name = 'kt-images' and state <> 'idle'"
        return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir())), ask(dsn, busy)

    def is_as(before, now):
        descriptors = before[1] + 8  # the connections of both pools
        return now[0] <= before[0] and now[1] <= descriptors and now[2] == [(0,)]

    await crowd(10)  # whatever is opened once, is
    await asyncio.sleep(2)
    before = left()
    await crowd(500 if thorough else 20)
    async with asyncio.timeout(20):
        while not is_as(before, left()):
            await asyncio.sleep(0.1)
    assert list((settings.uploads_dir / "incoming").iterdir()) == []
    assert threading.active_count() < 60
    assert (await client.get("/readyz")).status == 200
