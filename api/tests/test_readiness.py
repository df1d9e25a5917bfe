"""What /readyz says while things are really broken, each within two seconds."""

import asyncio
import contextlib
import subprocess
import time

import pytest

from kt_images.database import embedded, schema
from kt_images.database.connection import Connection, Limits
from kt_images.errors import StoreMovedError
from kt_images.files.disk import Disk
from sql import ask
from stopped import stopped

OK = (200, {"status": "ok"})


async def readiness(client):
    started = time.monotonic()
    answer = await client.get("/readyz")
    found = answer.status, await answer.json()
    assert time.monotonic() - started < 10  # two seconds, on a machine that has nothing else to do
    return found


async def becomes(client, expected):
    """Wait until the answer is this one: the store is looked at once a second."""
    async with asyncio.timeout(20):
        while await readiness(client) != expected:
            await asyncio.sleep(0.1)


@pytest.fixture
def counted(monkeypatch):
    """Note each call of a function."""

    def make(place, name):
        calls, original = [], getattr(place, name)
        monkeypatch.setattr(place, name, lambda *arguments: calls.append(arguments) or original(*arguments))
        return calls

    return make


def missing(*names):
    return 503, {"error": f"Not reachable: {', '.join(names)}"}


def degraded(*reasons):
    return 200, {"status": "degraded", "reasons": [*reasons]}


async def test_a_database_that_is_gone_or_hangs_is_told(serve, folder):
    data = folder / "readiness"
    with embedded.running(data) as dsn:
        connection = await Connection.open(dsn, Limits())
        await schema.upgrade(connection)
        connection.close()
        client = await serve(postgres_dsn=dsn)
        assert await readiness(client) == OK
        with stopped(data):
            assert await readiness(client) == missing("database")
        async with asyncio.timeout(20):
            while await readiness(client) != OK:
                await asyncio.sleep(0.05)
    assert await readiness(client) == missing("database")


@pytest.mark.parametrize(
    ("statement", "undo"),
    [
        ("delete from applied_fixtures where name like '02%'", "insert into applied_fixtures values ('02_create-index.sql')"),
        ("insert into applied_fixtures values ('9999_newer.sql')", "delete from applied_fixtures where name like '9999%'"),
    ],
)  # fmt: skip
async def test_another_schema_than_this_version_s_is_told(client, dsn, statement, undo):
    ask(dsn, statement)
    try:
        assert await readiness(client) == missing("schema")
    finally:
        ask(dsn, undo)
    assert await readiness(client) == OK


async def test_that_the_files_were_moved_is_told(client, dsn, settings):
    ask(dsn, "update store set store_id = 'another'")
    moved = f"Not reachable: store. {StoreMovedError.sentence}"
    assert await readiness(client) == (503, {"error": moved})
    (settings.uploads_dir / "store.json").unlink()  # as whoever moved them may
    assert await readiness(client) == (503, {"error": moved})


def remount(folder, how):
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


async def test_a_store_that_can_only_be_read_is_told(serve, mount):
    folder = mount("size=20m")
    client = await serve(uploads_dir=folder, min_free_bytes=0)
    assert await readiness(client) == OK
    remount(folder, "ro")
    assert await readiness(client) == missing("store")
    remount(folder, "rw")
    assert await readiness(client) == OK


@pytest.mark.parametrize("call", ["_check", "_probe"])
async def test_a_store_that_hangs_is_told_and_asked_once_however_many_want_to_know(client, hang, counted, call):
    hang(Disk, call)
    calls = counted(Disk, call)
    for _ in range(3):
        answers = await asyncio.gather(*(readiness(client) for _ in range(20)))
        assert {status for status, _ in answers} == {503}
        assert answers[0] == missing("store")
    assert len(calls) == 1
    assert (await client.get("/healthz")).status == 200


@pytest.mark.parametrize("options", ["size=2m", "size=20m,nr_inodes=20"])
async def test_a_full_store_is_degraded_as_everything_but_uploads_works(serve, mount, options):
    folder = mount(options)
    client = await serve(uploads_dir=folder, min_free_bytes=0)
    assert await readiness(client) == OK
    with contextlib.suppress(OSError):
        for n in range(10_000):
            (folder / f"ballast-{n}").write_bytes(bytes(2**16 if "inodes" not in options else 0))
    await becomes(client, degraded("The store is full: files are refused"))
    for path in folder.glob("ballast*"):
        path.unlink()
    await becomes(client, OK)
    assert list((folder / "incoming").iterdir()) == []


async def test_a_store_that_is_nearly_full_is_degraded(serve, mount):
    folder = mount("size=20m")
    client = await serve(uploads_dir=folder, min_free_bytes=10 * 2**20)
    assert await readiness(client) == OK
    (folder / "ballast").write_bytes(bytes(15 * 2**20))
    await becomes(client, degraded("The store is nearly full"))


async def test_a_crowd_of_probes_costs_one_look(client, counted):
    looks, writes = counted(schema, "check"), counted(Disk, "_probe")
    answers = await asyncio.gather(*(client.get("/readyz") for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert len(looks) < 50
    assert len(writes) <= 2
