"""Moves of all files to another store, as a process beside services that are written to meanwhile."""

import asyncio
import itertools
import os
import random
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from kt_images import collector
from kt_images.application import create_app
from kt_images.database import attachments, orphans
from kt_images.database.snapshot import Snapshot
from kt_images.errors import OtherStoreError, UnavailableError
from kt_images.files.disk import Disk
from kt_images.files.keys import new_key
from kt_images.files.stores import store_of
from kt_images.models.attachments import Attachment
from sql import ask
from victim import a_picture

MOVED = "The files were moved to another store; the service has to be started anew with the setting of that one"
NAMES = "abc"
IMAGES = 5
FILES = IMAGES * len(NAMES)


async def put(client, image_id, name, picture):
    answer = await client.post(f"/images/{image_id}/attachment/{name}", data={"image": BytesIO(picture)})
    return answer.status, await answer.text()


async def get(client, image_id, name):
    answer = await client.get(f"/media/{image_id}/{name}")
    return await answer.read() if answer.status == 200 else answer.status


@pytest.fixture
def new(tmp_path):
    return tmp_path / "new"


@pytest.fixture
async def stocked(client):
    """Images with the attachments a to c; gives their bytes."""
    expected = {}
    for image_id in range(1, IMAGES + 1):
        await client.post("/images", json={"filename": "x"})
        for name in NAMES:
            expected[image_id, name] = a_picture()
            assert (await put(client, image_id, name, expected[image_id, name]))[0] == 200
    return expected


@pytest.fixture(params=["disk", "bucket"])
def target(request, settings, new, monkeypatch):
    """Settings of a service with the new store; the commands have those of the bucket in their environment."""
    if request.param == "disk":
        return settings.model_copy(update={"store": str(new)})
    bucket = request.getfixturevalue("bucket")
    monkeypatch.setenv("KT_IMAGES_STORE_ENDPOINT", bucket.server.endpoint)
    return settings.model_copy(update=bucket.settings)


async def entered(settings):
    """Return the settings' store."""
    store = store_of(settings)
    await store.open()
    await store.enter(await store.claim())
    return store


async def listed(settings):
    return [one.key async for step in (await entered(settings)).walk() for one in step]


@pytest.fixture
def begin(settings, dsn):
    """Begin a command on the files of a store; give the process."""

    def run(command, *arguments, database=dsn, store=settings.uploads_dir):
        environment = {
            **os.environ,
            "POSTGRES_DSN": database,
            "KT_IMAGES_UPLOADS_DIR": str(settings.uploads_dir),
            "KT_IMAGES_STORE": str(store),
        }
        words = [sys.executable, "-m", f"kt_images.manage.{command}", *map(str, arguments)]
        return asyncio.create_subprocess_exec(*words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return run


@pytest.fixture
def move(begin):
    async def run(*arguments, **where):
        process = await begin("move_store", *arguments, **where)
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
        assert b"Traceback" not in errors, errors.decode()
        return process.returncode, output.decode(), errors.decode()

    return run


@pytest.fixture
def checked(begin):
    """Have the deep check find nothing in the store, and return its last line."""

    async def run(store):
        process = await begin("check", "--deep", "--grace", "0", store=store)
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    return run


def objects(store):
    return sorted(path.relative_to(store) for path in Path(store).rglob("objects/*/*"))


async def test_all_files_are_moved_and_what_was_there_stays(stocked, client, serve, settings, move, checked, target):
    before = objects(settings.uploads_dir)
    status, output, errors = await move("--to", target.store, "--verify")
    assert (status, output.count(target.store)) == (0, 2), errors
    assert f"{FILES} files copied" in errors
    assert objects(settings.uploads_dir) == before
    later = await serve(store=target.store, store_endpoint=target.store_endpoint)
    for place, picture in stocked.items():
        assert await get(later, *place) == await get(client, *place) == picture
    assert (await put(later, 1, "d", a_picture()))[0] == 200
    assert await checked(target.store) == f"{FILES + 1} rows, {FILES + 1} objects: all is well\n"


async def test_the_services_before_take_no_upload_and_serve_what_they_have(stocked, client, serve, move, new):
    assert (await client.get("/readyz")).status == 200
    assert (await move("--to", new))[0] == 0
    status, text = await put(client, 1, "a", a_picture())
    assert (status, MOVED in text) == (503, True)
    answer = await client.post("/images/upload", data={"image": BytesIO(a_picture())})
    assert (answer.status, MOVED in await answer.text()) == (503, True)
    assert await get(client, 1, "a") == stocked[1, "a"]
    assert (await client.delete("/images/1/attachment/b")).status == 204
    answer = await client.get("/readyz")
    assert (answer.status, "store" in await answer.text()) == (503, True)
    later = await serve(uploads_dir=new)
    assert (await put(later, 1, "a", a_picture()))[0] == 200
    answer = await client.get("/media/1/a")
    assert (answer.status, MOVED in await answer.text()) == (503, True)


async def test_what_a_service_needs_for_the_new_store_is_printed(stocked, move, bucket, monkeypatch):
    monkeypatch.setenv("KT_IMAGES_STORE_ENDPOINT", bucket.server.endpoint)
    monkeypatch.setenv("KT_IMAGES_STORE_REGION", "eu-1")
    status, output, errors = await move("--to", bucket.place)
    assert status == 0, errors
    where = f"KT_IMAGES_STORE={bucket.place} KT_IMAGES_STORE_ENDPOINT={bucket.server.endpoint}"
    start, remove = output.splitlines()
    assert start.endswith(f" with {where} KT_IMAGES_STORE_REGION=eu-1 and the bucket's credentials")
    assert "read the objects" in remove
    assert "until they are started anew. Once all of them are" in remove


async def starts(settings):
    """Start a service."""
    await TestServer(create_app(settings)).start_server()


async def test_who_starts_with_the_store_before_is_told_where_the_files_are(
    stocked, settings, serve, move, begin, target
):
    assert (await move("--to", target.store))[0] == 0
    needed = f"to {target.store}; start the service with KT_IMAGES_STORE={target.store}"
    with pytest.raises(OtherStoreError, match=f"moved from here {needed}") as raised:
        await starts(settings)
    assert "truncate" not in str(raised.value)
    assert ("credentials" in str(raised.value)) == target.store.startswith("s3:")
    process = await begin("check")
    assert needed.encode() in (await process.communicate())[1]
    assert needed in (await move("--to", settings.uploads_dir / ".." / "third"))[2]
    # Its objects and its marker may be removed by now.
    (settings.uploads_dir / "store.json").unlink()
    with pytest.raises(OtherStoreError, match=f"The files are in {target.store};") as raised:
        await starts(settings)
    assert "truncate" not in str(raised.value)
    later = await serve(store=target.store, store_endpoint=target.store_endpoint)
    assert (await put(later, 1, "a", stocked[1, "a"]))[0] == 200


async def test_who_starts_with_the_bucket_before_is_told_where_the_files_are(
    stocked, settings, bucket, new, monkeypatch, move
):
    monkeypatch.setenv("KT_IMAGES_STORE_ENDPOINT", bucket.server.endpoint)
    assert (await move("--to", bucket.place))[0] == 0
    assert (await move("--to", new, store=bucket.place))[0] == 0
    with pytest.raises(
        OtherStoreError, match=f"moved from here to {new}; start the service with KT_IMAGES_STORE={new}"
    ):
        await starts(settings.model_copy(update=bucket.settings))


class Writers:
    """Upload, replace and delete without a pause; `expected` is what they were told."""

    def __init__(self, client, expected):
        self.client, self.expected, self.acknowledged, self.refused = client, dict(expected), 0, 0
        self.has_ended = False

    async def write(self, image_id):
        for number in itertools.count():
            if self.has_ended:
                return
            place = image_id, random.choice("abcdef")
            if number % 5 == 4 and self.expected.get(place):
                answer = await self.client.delete(f"/images/{image_id}/attachment/{place[1]}")
                changed, status, text = None, answer.status, await answer.text()
            else:
                changed = a_picture(random.randrange(10, 60))
                status, text = await put(self.client, *place, changed)
            if status in {200, 204}:
                self.expected[place] = changed
                self.acknowledged += 1
            else:
                assert status == 503, text
                self.refused += MOVED in text
                await asyncio.sleep(0.02)

    async def differing(self, client):
        """Return what is not as they were told."""
        found = {}
        for place, picture in self.expected.items():
            got = await get(client, *place)
            if got != (picture or 404):
                found[place] = got
        return found


async def beside_writers(client, expected, work):
    """Do the work beside writers; return them once one has been told that the store was moved."""
    writers = Writers(client, expected)
    tasks = [asyncio.create_task(writers.write(image_id)) for image_id in range(1, IMAGES + 1)]
    try:
        await work
        async with asyncio.timeout(20):
            while writers.refused < IMAGES:
                await asyncio.sleep(0.05)
    finally:
        writers.has_ended = True
        await asyncio.gather(*tasks)
    return writers


async def test_nothing_that_was_acknowledged_is_lost_however_much_is_written_meanwhile(
    stocked, client, serve, settings, pool, move, checked, target
):
    async def work():
        await asyncio.sleep(0.3)
        assert (await move("--to", target.store))[0] == 0

    writers = await beside_writers(client, stocked, work())
    assert writers.acknowledged > IMAGES
    later = await serve(store=target.store, store_endpoint=target.store_endpoint)
    assert await writers.differing(later) == {}
    await collector.collect(pool, await entered(target), (320,), 0)
    assert "all is well" in await checked(target.store)
    rows = ask(settings.postgres_dsn, "select count(*) from attachments")[0][0]
    assert len(await listed(target)) == rows, "an object without a row stays"
    assert ask(settings.postgres_dsn, "select count(*) from orphans")[0][0] == 0


async def test_killed_again_and_again_it_goes_on_where_it_stopped(
    stocked, client, serve, settings, pool, begin, move, checked, target
):
    ends = []

    async def work():
        for seconds in (0.1, random.uniform(0.3, 0.7), random.uniform(0.5, 1.2)):
            process = await begin("move_store", "--to", target.store)
            await asyncio.sleep(seconds)
            if process.returncode is None:
                process.kill()
            await process.communicate()
            ends.append(process.returncode)
            await collector.collect(pool, await entered(settings), (320,), 0)  # as the services before may at any time
        status, _, errors = await move("--to", target.store)
        assert status == 0, errors

    writers = await beside_writers(client, stocked, work())
    assert -9 in ends
    later = await serve(store=target.store, store_endpoint=target.store_endpoint)
    assert await writers.differing(later) == {}
    await pool.query("update orphans set since = now() - interval '1 day'")
    assert "all is well" in await checked(target.store)
    assert ask(settings.postgres_dsn, "select count(*) from pg_trigger where tgname = 'attachments_moving'")[0][0] == 0


async def test_an_upload_whose_row_is_still_to_come_at_the_switch_is_refused(
    stocked, client, serve, monkeypatch, move, new
):
    stored, moved = asyncio.Event(), asyncio.Event()
    keep = Disk.keep

    async def slow(self, *arguments):
        await keep(self, *arguments)
        stored.set()
        await moved.wait()

    monkeypatch.setattr(Disk, "keep", slow)
    uploading = asyncio.create_task(put(client, 1, "a", a_picture()))
    await stored.wait()
    assert (await move("--to", new))[0] == 0
    moved.set()
    status, text = await uploading
    assert (status, MOVED in text) == (503, True)
    later = await serve(uploads_dir=new)
    assert await get(later, 1, "a") == stocked[1, "a"]


async def test_a_collector_of_the_store_before_takes_nothing_any_more(stocked, client, settings, pool, move, new):
    store = await entered(settings)
    await client.delete("/images/2/attachment/a")
    taken = await orphans.take(pool, 0, 10, store.entered)
    assert (await move("--to", new))[0] == 0
    await orphans.forget(pool, taken)
    assert ask(settings.postgres_dsn, "select object_key from orphans") == [(key,) for key in taken]
    assert (await client.delete("/images/1")).status == 204
    assert await collector.collect(pool, store, (), 0) == 0
    later = await entered(settings.model_copy(update={"uploads_dir": new}))
    assert await collector.collect(pool, later, (), 0) == 4
    assert len(objects(new)) == FILES - 4


async def test_a_transaction_that_does_not_see_the_switch_writes_no_row(stocked, settings, pool, move, new):
    (old,) = ask(settings.postgres_dsn, "select store_id from store")[0]
    row = Attachment(
        image_id=1, filename="z", object_key=new_key(1, "png"), content_type="image/png", size=1, sha256="", width=1,
        height=1,
    )  # fmt: skip
    await orphans.expect(pool, [row.object_key], store_id=old)
    with pytest.raises(UnavailableError):
        async with pool.transaction() as connection:
            await connection.query("set transaction isolation level repeatable read")
            assert (await connection.query("select store_id from store"))[0].store_id == old
            assert (await move("--to", new))[0] == 0
            await attachments.put(connection, row, old)
    assert ask(settings.postgres_dsn, "select filename from attachments where filename = 'z'") == []


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x" * path.stat().st_size)])
async def test_damaged_files_are_named_and_keep_it_from_switching(stocked, client, serve, settings, move, new, damage):
    key = ask(settings.postgres_dsn, "select object_key from attachments where image_id = 4 and filename = 'b'")[0][0]
    damage(settings.uploads_dir / "objects" / key)
    status, output, errors = await move("--to", new)
    assert (status, output) == (1, f"damaged: {key}, image 4 'b'\n")
    assert "--skip-damaged" in errors
    assert (await put(client, 1, "a", stocked[1, "a"]))[0] == 200
    status, output, errors = await move("--to", new, "--skip-damaged")
    assert (status, key in output) == (0, True), errors
    assert f"1 file copied, {FILES - 2} were there" in errors  # the one replaced since
    later = await serve(uploads_dir=new)
    assert [await get(later, *place) for place in stocked if place != (4, "b")] == [
        picture for place, picture in stocked.items() if place != (4, "b")
    ]
    assert await get(later, 4, "b") == 500


async def test_with_verify_what_is_there_and_damaged_is_copied_again(stocked, client, settings, serve, move, new):
    key = ask(settings.postgres_dsn, "select object_key from attachments where image_id = 4 and filename = 'b'")[0][0]
    original = settings.uploads_dir / "objects" / key
    content = original.read_bytes()
    original.unlink()
    assert (await move("--to", new))[0] == 1
    original.write_bytes(content)
    first = next(path for path in (new / "objects").rglob("*.bmp"))
    first.write_bytes(b"x" * first.stat().st_size)
    assert (await move("--to", new, "--verify"))[0] == 0
    later = await serve(uploads_dir=new)
    assert [await get(later, *place) for place in stocked] == list(stocked.values())


async def test_it_waits_for_a_backup_to_end_and_is_alone(stocked, pool, settings, begin, move, new):
    async with Snapshot.open(pool):
        process = await begin("move_store", "--to", new)
        while b"Waiting for a backup" not in await asyncio.wait_for(process.stderr.readline(), 20):
            pass
        assert ask(settings.postgres_dsn, "select count(*) from moving")[0][0] == 0
        assert process.returncode is None
        status, _, errors = await move("--to", new)
        assert (status, "by another process" in errors) == (1, True)
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0


async def test_a_wrong_place_is_refused_and_left_as_it_was(stocked, client, settings, move, tmp_path, new_database):
    other = tmp_path / "other"
    foreign = Disk(other)
    await foreign.open()
    await foreign.claim()
    before = sorted(other.rglob("*"))
    (tmp_path / "file").write_bytes(b"")
    for place, sentence in {
        other: "never this database's",
        settings.uploads_dir: "This is the store that the files are in",
        settings.uploads_dir / "objects" / "new": "cannot lie inside",
        tmp_path / "file": "",
        tmp_path / "file" / "below": "",
    }.items():
        status, output, errors = await move("--to", place)
        assert (status, output) == (1, ""), place
        assert sentence in errors.splitlines()[-1]
    assert sorted(other.rglob("*")) == before
    assert (await put(client, 1, "a", stocked[1, "a"]))[0] == 200


async def test_a_full_target_ends_it_and_room_lets_it_go_on(stocked, serve, mount, move):
    new = mount("size=100k")
    status, output, errors = await move("--to", new)
    assert (status, output) == (1, ""), errors
    assert "Make room and run the command again" in errors
    subprocess.run(["mount", "-o", "remount,size=4m", new], check=True)  # noqa: ASYNC221 (it takes no time)
    status, _, errors = await move("--to", new)
    assert status == 0
    assert f"{FILES} files copied" not in errors
    later = await serve(uploads_dir=new)
    assert [await get(later, *place) for place in stocked] == list(stocked.values())


async def test_moved_there_and_back_and_asked_again(stocked, client, serve, settings, move, new):
    assert (await move("--to", new))[0] == 0
    status, _, errors = await move("--to", new)
    assert (status, "The files are there already" in errors) == (0, True)
    later = await serve(uploads_dir=new)
    stocked[1, "a"] = a_picture()
    assert (await put(later, 1, "a", stocked[1, "a"]))[0] == 200
    status, _, errors = await move("--to", settings.uploads_dir, store=new)
    assert (status, f"1 file copied, {FILES - 1} were there" in errors) == (0, True), errors
    assert [await get(client, *place) for place in stocked] == list(stocked.values())
    assert (await put(client, 1, "b", stocked[1, "b"]))[0] == 200
    assert (await put(later, 1, "b", stocked[1, "b"]))[0] == 503


async def test_a_move_that_was_killed_can_be_given_up(stocked, settings, pool, begin, move, new):
    async with Snapshot.open(pool):
        process = await begin("move_store", "--to", new)
        while b"Waiting for a backup" not in await asyncio.wait_for(process.stderr.readline(), 20):
            pass
        process.kill()
        await process.communicate()
    watching = "select count(*) from pg_trigger where tgname = 'attachments_moving'"
    assert ask(settings.postgres_dsn, watching)[0][0] == 1
    assert (await move("--cancel"))[0] == 0
    assert ask(settings.postgres_dsn, watching)[0][0] == 0


async def test_moved_to_a_bucket_and_back(stocked, client, serve, settings, bucket, monkeypatch, move):
    monkeypatch.setenv("KT_IMAGES_STORE_ENDPOINT", bucket.server.endpoint)
    assert (await move("--to", bucket.place))[0] == 0
    status, _, errors = await move("--to", settings.uploads_dir, store=bucket.place)
    assert (status, f"0 files copied, {FILES} were there" in errors) == (0, True), errors
    assert [await get(client, *place) for place in stocked] == list(stocked.values())
    assert (await put(client, 1, "b", stocked[1, "b"]))[0] == 200


async def test_a_bucket_that_is_not_there_ends_it_in_a_sentence(stocked, client, bucket, monkeypatch, move, begin):
    monkeypatch.setenv("KT_IMAGES_STORE_ENDPOINT", bucket.server.endpoint)
    status, output, _ = await move("--to", "s3://no-such-bucket/x")
    assert (status, output) == (1, "")
    assert (await put(client, 1, "a", stocked[1, "a"]))[0] == 200
    assert (await move("--to", bucket.place))[0] == 0
    bucket.server.delete(bucket.bucket)
    process = await begin("check", store=bucket.place)
    output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert b"Traceback" not in errors
