"""A hundred thousand damaged and hostile pictures: none is a failure of the service, and nobody else notices."""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections import Counter
from io import BytesIO

import aiohttp
import psutil
import pytest
from PIL import Image

from hostile_pictures import HARMLESS, HOSTILE
from kt_images.files import pictures
from mutations import mutated
from pictures import JPEG, ROTATED, drawn

BUDGET = 256 * 2**20
# What the service and its decoders take by themselves.
BASE = 400 * 2**20
UPLOADERS = 8
REFUSED = {400, 413, 415}
# Of thumbnails: less than nearly all of the pictures have.
WIDTH = 16


@pytest.fixture(scope="module")
def seeds():
    pictures.prepare(10**8)
    frames = {"save_all": True, "append_images": [Image.new("RGB", (40, 30), color) for color in ("red", "blue")]}
    made = [drawn(form, exif=ROTATED.tobytes()) for form in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "HEIF")]
    made += [drawn(form) for form in ("GIF", "BMP")]
    made += [drawn(form, **frames) for form in ("GIF", "PNG", "WEBP", "AVIF", "TIFF", "MPO", "HEIF")]
    made += [
        drawn("JPEG", progressive=True),
        drawn("TIFF", compression="tiff_lzw"),
        drawn("PNG", mode="P"),
        JPEG.read_bytes(),
    ]
    return made


class Watch:
    """What everybody else notices meanwhile."""

    def __init__(self, session, process):
        self.health, self.honest, self.memory = [], [], 0
        self._session, self._process = session, process

    async def look(self):
        while True:
            started = time.monotonic()
            async with self._session.get("/healthz") as answer:
                assert answer.status == 200
            self.health.append(time.monotonic() - started)
            await asyncio.sleep(0.02)

    async def upload(self):
        for number in itertools.count():
            started = time.monotonic()
            status = await upload(self._session, drawn("PNG", (40, 30 + number % 50)), "honest")
            assert status == 200, status
            self.honest.append(time.monotonic() - started)
            await asyncio.sleep(0.05)

    async def measure(self):
        while True:
            with contextlib.suppress(psutil.NoSuchProcess):  # replaced at this very moment
                self.memory = max(self.memory, self._sum())
            await asyncio.sleep(0.1)

    def _sum(self):
        return sum(one.memory_info().rss for one in [self._process, *self._process.children()])


async def upload(session, content, name):
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(content), filename="x")
    async with session.post(f"/images/1/attachment/{name}", data=form) as answer:
        await answer.read()
        return answer.status


async def test_no_picture_takes_the_service_down(seeds, service, thorough):
    process, url = service
    count = 100_000 if thorough else 400
    shapes = [make() for make in HOSTILE.values()] if thorough else []
    statuses, slowest, failed = Counter(), 0.0, []
    rest = itertools.chain(shapes, mutated([*seeds, *HARMLESS], count))

    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=120)) as session:
        async with session.post("/images", json={"filename": "x"}) as answer:
            assert answer.status == 201
        watch = Watch(session, process)
        watching = [asyncio.create_task(one) for one in (watch.look(), watch.upload(), watch.measure())]

        async def uploader(name):
            nonlocal slowest
            for content in rest:
                started = time.monotonic()
                status = await upload(session, content, name)
                slowest = max(slowest, time.monotonic() - started)
                statuses[status] += 1
                if status not in REFUSED | {200}:
                    failed.append((status, content))
                if status == 200:
                    async with session.get(f"/media/1/{name}?width={WIDTH}") as answer:
                        await answer.read()
                        if answer.status != 200:
                            failed.append((answer.status, content))

        await asyncio.gather(*(uploader(f"{number}") for number in range(UPLOADERS)))
        for task in watching:
            assert not task.done(), task.exception()
            task.cancel()
        await asyncio.wait(watching)
    p99 = statistics.quantiles(watch.health, n=100)[98]
    print(
        f"{sum(statuses.values())} pictures: {dict(statuses)}, slowest {slowest:.1f} s; {len(watch.honest)} honest uploads, "
        f"slowest {max(watch.honest):.2f} s; /healthz p99 {1000 * p99:.0f} ms; memory {watch.memory / 2**20:.0f} MB",
        end="",
    )
    assert not failed, [(status, content[:200]) for status, content in failed[:3]]
    assert statuses[200] < sum(statuses.values())
    assert slowest < 60
    assert max(watch.honest) < 20
    assert p99 < (0.1 if thorough else 2)
    assert watch.memory < BASE + BUDGET
