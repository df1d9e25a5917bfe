"""What the collector removes, and what it never does."""

import asyncio
import contextlib
import os
import time
from io import BytesIO

import aiohttp
import psycopg2
import pytest

from kt_images import collector
from kt_images.database import attachments, orphans
from kt_images.errors import UnavailableError
from kt_images.files.disk import Disk
from kt_images.files.keys import new_key
from pictures import drawn

PICTURES = [drawn("PNG", (n, n)) for n in (400, 401, 402)]
WIDTHS = (160, 320)


@pytest.fixture
def settings(settings):
    """Without thumbnails from the upload: most tests count objects."""
    return settings.model_copy(update={"eager_widths": ()})


@pytest.fixture
async def store(settings):
    made = Disk(settings.uploads_dir)
    await made.open()
    return made


async def collect(pool, store, grace=0):
    return await collector.collect(pool, store, WIDTHS, grace)


async def files(store):
    return [one.key async for step in store.walk() for one in step]


async def upload(client, name, picture):
    answer = await client.post(f"/images/1/attachment/{name}", data={"image": BytesIO(picture)})
    assert answer.status == 200


async def until(happened):
    async with asyncio.timeout(10):
        while not await happened():
            await asyncio.sleep(0.02)


@pytest.fixture
async def stocked(client):
    """One image with the attachments a and b; of a there was another before."""
    await client.post("/images", json={"filename": "x"})
    for name, picture in zip("aab", PICTURES, strict=True):
        await upload(client, name, picture)
    return client


async def test_what_was_replaced_goes_and_what_a_row_names_stays(stocked, pool, store):
    assert len(await files(store)) == 3
    assert await collect(pool, store) == 1
    for name, picture in zip("ab", PICTURES[1:], strict=True):
        answer = await stocked.get(f"/media/1/{name}")
        assert (answer.status, await answer.read()) == (200, picture)
    assert await collect(pool, store) == 0


@pytest.mark.parametrize("call", ["/images/1/attachment/a", "/images/1"])
async def test_the_object_of_what_is_deleted_goes_with_its_thumbnails(stocked, pool, store, call):
    for width in WIDTHS:
        assert (await stocked.get(f"/media/1/a?width={width}")).status == 200
    assert len(await files(store)) == 3 + len(WIDTHS)
    await collect(pool, store)
    assert len(await files(store)) == 2 + len(WIDTHS)
    assert (await stocked.delete(call)).status == 204
    await collect(pool, store)
    assert len(await files(store)) == (0 if call == "/images/1" else 1)


async def test_a_thumbnail_that_is_made_while_its_object_is_removed_goes_too(stocked, pool, store, monkeypatch):
    keep = Disk.keep

    async def slow_keep(self, received, key, content_type):
        if key.endswith(".webp"):
            await stocked.delete("/images/1")
            await pool.query("update orphans set since = now() - interval '1 hour'")
            assert await collect(pool, store, grace=60) == 3
        await keep(self, received, key, content_type)

    monkeypatch.setattr(Disk, "keep", slow_keep)
    assert (await stocked.get("/media/1/a?width=320")).status == 200
    assert await files(store) == []


async def test_thumbnails_made_at_the_upload_go_with_their_objects(serve, pool, store):
    client = await serve(eager_widths=WIDTHS)
    await client.post("/images", json={"filename": "x"})
    for name, picture in zip("aab", PICTURES, strict=True):
        await upload(client, name, picture)
    assert len(await files(store)) == 3 * (1 + len(WIDTHS))
    assert await collect(pool, store) == 1
    assert len(await files(store)) == 2 * (1 + len(WIDTHS))
    assert (await client.delete("/images/1")).status == 204
    await collect(pool, store)
    assert await files(store) == []


async def test_thumbnails_of_an_upload_that_is_not_stored_in_the_end_go_too(serve, pool, store, monkeypatch):
    client = await serve(eager_widths=WIDTHS)
    await client.post("/images", json={"filename": "x"})

    async def refused(*_):
        raise UnavailableError

    with monkeypatch.context() as outage:
        outage.setattr(attachments, "put", refused)
        answer = await client.post("/images/1/attachment/a", data={"image": BytesIO(PICTURES[0])})
        assert answer.status == 503
    assert len(await files(store)) == 1 + len(WIDTHS)
    assert await collect(pool, store) == 1
    assert await files(store) == []


@pytest.mark.usefixtures("stocked")
async def test_what_is_young_stays(pool, store, settings):
    half = settings.uploads_dir / "incoming" / "half"
    half.write_bytes(b"x")
    assert await collect(pool, store, grace=60) == 0
    assert half.exists()
    os.utime(half, (0, 0))
    assert len(await files(store)) == 3
    assert await collect(pool, store) == 1
    assert not half.exists()


async def test_an_upload_that_takes_longer_than_any_grace_keeps_its_file(client, pool, store, monkeypatch):
    monkeypatch.setattr(collector, "SWEEP_SECONDS", 1)
    await client.post("/images", json={"filename": "x"})
    picture = drawn("BMP", (800, 800))  # 1.9 MB, in eight pieces

    async def slowly():
        for start in range(0, len(picture), 2**18):
            yield picture[start : start + 2**18]
            await asyncio.sleep(0.4)

    form = aiohttp.FormData()
    form.add_field("image", slowly(), filename="a")
    uploading = asyncio.create_task(client.post("/images/1/attachment/a", data=form))
    collected = 0
    while not uploading.done():
        await collect(pool, store, grace=1)
        collected += 1
        await asyncio.sleep(0.1)
    assert (await uploading).status == 200
    assert collected > 8
    assert await (await client.get("/media/1/a")).read() == picture


@pytest.mark.usefixtures("stocked")
async def test_what_was_replaced_a_moment_ago_stays_however_old_it_is(pool, store):
    await pool.query("update attachments set created_at = now() - interval '1 year'")
    assert await collect(pool, store, grace=60) == 0
    await pool.query("update orphans set since = now() - interval '61 seconds'")
    assert await collect(pool, store, grace=60) == 1


@pytest.mark.usefixtures("stocked")
async def test_what_the_database_does_not_know_is_left_to_whoever_put_it_there(pool, store, settings):
    objects = settings.uploads_dir / "objects"
    strange = [objects / "README", objects / "001" / "x.png", objects / new_key(1, "png")]
    for path in strange:
        path.write_bytes(b"x")
    assert await collect(pool, store) == 1
    assert all(path.exists() for path in strange)


async def test_an_upload_whose_object_was_collected_before_its_row_came_is_refused(stocked, pool, store, monkeypatch):
    keep = Disk.keep

    async def slow_keep(self, *arguments):
        await keep(self, *arguments)
        await collect(pool, store)

    await collect(pool, store)
    with monkeypatch.context() as slow:
        slow.setattr(Disk, "keep", slow_keep)
        for url in ("/images/1/attachment/new", "/images/upload"):
            answer = await stocked.post(url, data={"image": BytesIO(PICTURES[0])})
            assert (answer.status, "send it again" in (await answer.json())["error"]) == (503, True)
    assert (await (await stocked.get("/images")).json())[-1]["totalImages"] == 1
    assert len(await files(store)) == 2
    # Had the object come after the collector, it would still be found.
    assert (await pool.query("select count(*) as n from orphans"))[0].n == 1
    await upload(stocked, "new", PICTURES[0])


async def test_a_row_that_is_being_written_saves_its_object(stocked, dsn, pool, store):
    key = new_key(1, "png")
    await orphans.expect(pool, [key])
    async with store_entered(store) as entered, entered.receive(once(b"x"), 1) as received:
        await entered.keep(received, key, "image/png")
    writing = psycopg2.connect(dsn)
    with writing.cursor() as cursor:
        cursor.execute("delete from orphans where object_key = %s", (key,))
        assert await collect(pool, store) == 1  # the replaced one
        assert key in await files(store)
    writing.rollback()
    writing.close()
    assert await collect(pool, store) == 1
    assert key not in await files(store)


@contextlib.asynccontextmanager
async def store_entered(store):
    await store.enter(await store.claim())
    yield store


async def once(content):
    yield content


@pytest.mark.usefixtures("stocked")
async def test_nothing_goes_while_a_backup_or_restore_runs(dsn, pool, store):
    restoring = psycopg2.connect(dsn)
    with restoring.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock_shared(5046820212)")
        assert await collect(pool, store) == 0
    restoring.rollback()
    restoring.close()
    assert await collect(pool, store) == 1


@pytest.mark.usefixtures("stocked")
async def test_an_object_that_cannot_be_removed_is_tried_again(pool, store, monkeypatch):
    async def failing(*_):
        raise OSError("bad disk")

    with monkeypatch.context() as broken:
        broken.setattr(Disk, "remove", failing)
        with pytest.raises(OSError, match="bad disk"):
            await collect(pool, store)
    assert await collect(pool, store) == 0
    await pool.query("update orphans set taken_at = taken_at - interval '11 minutes'")
    assert await collect(pool, store) == 1


@pytest.mark.usefixtures("stocked")
async def test_several_collectors_share_the_work(pool, store):
    await orphans.expect(pool, [new_key(1, "png") for _ in range(3 * collector.STEP)])
    assert sum(await asyncio.gather(*(collect(pool, store) for _ in range(3)))) == 3 * collector.STEP + 1
    assert (await pool.query("select count(*) as n from orphans"))[0].n == 0
    assert len(await files(store)) == 2


async def test_the_service_collects_by_itself(serve, store):
    client = await serve(collect_interval=0.05, collect_grace=0.2)
    await client.post("/images", json={"filename": "x"})
    for picture in PICTURES:
        await upload(client, "a", picture)

    async def is_collected():
        return len(await files(store)) == 1

    await until(is_collected)
    assert await (await client.get("/media/1/a")).read() == PICTURES[-1]


@pytest.mark.usefixtures("stocked")
async def test_it_goes_on_after_a_failure(pool, store, monkeypatch):
    failures, real = [UnavailableError(), OSError("bad disk"), ValueError()], collector.collect

    async def failing(*arguments):
        if failures:
            raise failures.pop()
        return await real(*arguments)

    async def is_collected():
        return len(await files(store)) == 2

    monkeypatch.setattr(collector, "collect", failing)
    collecting = asyncio.create_task(collector.keep_collecting(pool, store, WIDTHS, 0.01, 0))
    await until(is_collected)
    collecting.cancel()
    await asyncio.wait([collecting])


async def test_a_large_store_delays_nobody(pool, store, settings):
    for number in range(20):
        folder = settings.uploads_dir / "objects" / f"{number:03}"
        folder.mkdir(parents=True)
        for one in range(500):
            (folder / f"{number or 1000}-{one:032x}.png").touch()
    (settings.uploads_dir / "incoming").mkdir()
    await orphans.expect(pool, [one.key async for step in store.walk() for one in step])
    worst, done = 0.0, asyncio.Event()

    async def beat():
        nonlocal worst
        while not done.is_set():
            start = time.monotonic()
            await asyncio.sleep(0.001)
            worst = max(worst, time.monotonic() - start)

    beating = asyncio.create_task(beat())
    steps = [len(step) async for step in store.walk()]
    assert sum(steps) == 10_000
    assert max(steps) <= 250
    assert await collect(pool, store) == 10_000
    done.set()
    await beating
    assert await files(store) == []
    assert worst < 0.25  # 0.05 is promised; the machine of the tests has other things to do too


async def test_an_upload_cannot_have_what_a_collector_has_taken_though_its_session_is_lost(
    stocked, pool, store, monkeypatch
):
    """A removal that hangs outlives every lock: the entry itself says that it is taken."""
    keep, remove, removing, go_on = Disk.keep, Disk.remove, asyncio.Event(), asyncio.Event()

    async def slow_remove(self, taken):
        removing.set()
        await go_on.wait()
        await remove(self, taken)

    async def slow_keep(self, *arguments):
        await keep(self, *arguments)
        collecting.append(asyncio.create_task(collect(pool, store)))
        await removing.wait()
        await pool.query(
            "select pg_terminate_backend(pid) from pg_stat_activity where state like 'idle in%' and pid <> pg_backend_pid()"
        )

    await collect(pool, store)
    collecting = []
    with monkeypatch.context() as slow:
        slow.setattr(Disk, "keep", slow_keep)
        slow.setattr(Disk, "remove", slow_remove)
        answer = await stocked.post("/images/1/attachment/new", data={"image": BytesIO(PICTURES[0])})
        assert answer.status == 503
        go_on.set()
        await asyncio.gather(*collecting)
    assert [one["filename"] for one in await (await stocked.get("/images/1/attachments")).json()] == ["a", "b"]
    assert await collect(pool, store) == 1
    assert len(await files(store)) == 2
