"""What the collector removes, and what it never does."""

import asyncio
import os
import time
from io import BytesIO

import psycopg2
import pytest

from kt_images import collector
from kt_images.errors import UnavailableError
from kt_images.files.store import Store
from kt_images.files.walk import in_steps
from pictures import drawn

PICTURES = [drawn("PNG", (n, n)) for n in (10, 11, 12)]


@pytest.fixture
def store(settings):
    return Store(settings.uploads_dir)


async def collect(pool, store):
    """Collect what was seen without a row before."""
    return await collector.collect(pool, store, grace=0) + await collector.collect(pool, store, grace=0)


def files(store):
    return sorted(str(found.path) for found in [*store.objects(), *store.unfinished()])


async def upload(client, name, picture):
    answer = await client.post(f"/images/1/attachment/{name}", data={"image": BytesIO(picture)})
    assert answer.status == 200


async def until(happened):
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0.02)


@pytest.fixture
async def stocked(client):
    """One image with the attachments a and b; of a there was another before."""
    await client.post("/images", json={"filename": "x"})
    for name, picture in zip("aab", PICTURES, strict=True):
        await upload(client, name, picture)
    return client


async def test_what_was_replaced_goes_and_what_a_row_names_stays(stocked, pool, store):
    assert len(files(store)) == 3
    assert await collect(pool, store) == 1
    for name, picture in zip("ab", PICTURES[1:], strict=True):
        answer = await stocked.get(f"/media/1/{name}")
        assert (answer.status, await answer.read()) == (200, picture)
    assert await collect(pool, store) == 0


async def test_the_files_of_a_deleted_image_go_with_their_smaller_pictures(stocked, pool, store):
    for found in list(store.objects()):
        found.path.with_name(found.path.name + ".w320.webp").write_bytes(b"small")
    await collect(pool, store)
    assert len(files(store)) == 4
    await stocked.delete("/images/1")
    assert await collect(pool, store) == 4
    assert files(store) == []


@pytest.mark.usefixtures("stocked")
async def test_what_is_young_stays_whatever_the_age_of_its_bytes(pool, store):
    for found in list(store.objects()):
        os.utime(found.path, (0, 0))
    (store._incoming / "half").write_bytes(b"x")
    assert await collector.collect(pool, store, grace=60) == 0
    assert await collect(pool, store) == 2


@pytest.mark.usefixtures("stocked")
async def test_what_was_replaced_a_moment_ago_stays_however_old_it_is(pool, store):
    assert await collector.collect(pool, store, grace=0) == 0  # noticed
    assert await collector.collect(pool, store, grace=60) == 0
    assert len(files(store)) == 3
    assert await collector.collect(pool, store, grace=0) == 1


@pytest.mark.usefixtures("client")
async def test_an_upload_that_broke_off_goes(pool, store):
    (store._incoming / "half").write_bytes(b"x")
    assert await collect(pool, store) == 1
    assert files(store) == []


@pytest.mark.usefixtures("stocked")
async def test_what_the_store_did_not_name_is_left_to_whoever_put_it_there(pool, store):
    strange = [store._objects / "README", store._objects / "001" / "x.png", store._objects / "001" / "deeper" / "y"]
    strange[2].parent.mkdir()
    for path in strange:
        path.write_bytes(b"x")
    assert await collect(pool, store) == 1
    assert all(path.exists() for path in strange)


@pytest.mark.usefixtures("stocked")
async def test_a_store_of_another_database_is_left_alone(pool, store):
    await pool.query("truncate images restart identity cascade")
    assert await collect(pool, store) == 0
    assert len(files(store)) == 3


async def test_a_row_that_comes_between_the_walk_and_the_removal_saves_its_file(stocked, pool, store, monkeypatch):
    async def saw_no_row(_pool, step):
        return step

    monkeypatch.setattr(collector, "unnamed", saw_no_row)
    assert await collect(pool, store) == 1
    assert (await stocked.get("/media/1/a")).status == 200


@pytest.mark.usefixtures("stocked")
async def test_nothing_goes_while_a_backup_or_restore_is_under_way(dsn, pool, store):
    restoring = psycopg2.connect(dsn)
    with restoring.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock_shared(5046820212)")
        assert await collect(pool, store) == 0
    restoring.rollback()
    restoring.close()
    assert await collect(pool, store) == 1


async def test_the_service_collects_by_itself(serve, store):
    client = await serve(collect_interval=0.05, collect_grace=0.2)
    await client.post("/images", json={"filename": "x"})
    for picture in PICTURES:
        await upload(client, "a", picture)
    await until(lambda: len(files(store)) == 1)
    assert await (await client.get("/media/1/a")).read() == PICTURES[-1]


@pytest.mark.usefixtures("stocked")
async def test_it_goes_on_after_the_database_was_gone(pool, store, monkeypatch):
    failures, real = [UnavailableError(), OSError("bad disk"), ValueError()], collector.collect

    async def failing(*arguments):
        if failures:
            raise failures.pop()
        return await real(*arguments)

    monkeypatch.setattr(collector, "collect", failing)
    collecting = asyncio.create_task(collector.keep_collecting(pool, store, 0.01, 0))
    await until(lambda: len(files(store)) == 2)
    collecting.cancel()
    await asyncio.wait([collecting])


async def test_a_large_store_delays_nobody(pool, store):
    for folder in (store._incoming, *(store._objects / f"{number:03}" for number in range(20))):
        folder.mkdir(parents=True)
    for number in range(20):
        for one in range(500):
            (store._objects / f"{number:03}" / f"{number}-{one:032x}.png").touch()
    await pool.query("select setval('images_image_id_seq', 100)")
    worst, done = 0.0, asyncio.Event()

    async def beat():
        nonlocal worst
        while not done.is_set():
            start = time.monotonic()
            await asyncio.sleep(0.001)
            worst = max(worst, time.monotonic() - start)

    beating = asyncio.create_task(beat())
    steps = [len(step) async for step in in_steps(store.objects())]
    assert sum(steps) == 10_000
    assert max(steps) <= 250
    assert await collector.collect(pool, store, grace=60) == 0
    done.set()
    await beating
    assert worst < 0.25  # 0.05 is promised; the machine of the tests has other things to do too
