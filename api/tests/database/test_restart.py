"""PostgreSQL crashes and restarts under load: nothing acknowledged is lost, and service resumes by itself."""

import asyncio
import gc
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import uvloop
from aiohttp.test_utils import TestClient, TestServer

from kt_images import errors
from kt_images.application import create_app
from kt_images.database import certain, schema
from kt_images.database.connection import Connection, Limits
from kt_images.database.pool import Pool
from sql import ask

# `make faults` asks for more.
ROUNDS = int(os.environ.get("KT_TEST_ROUNDS", "3"))


@pytest.fixture
async def client(database, serve):
    connection = await Connection.open(database.dsn, Limits())
    await schema.upgrade(connection)
    connection.close()
    return await serve(postgres_dsn=database.dsn, chunk_size=100, statement_timeout=5)


async def test_acknowledged_writes_survive_every_crash(client, database):
    acknowledged, statuses = set(), set()
    ended = asyncio.Event()

    async def write(worker):
        n = 0
        while not ended.is_set():
            n += 1
            answer = await client.post("/images", json={"filename": f"{worker}-{n}"})
            statuses.add(answer.status)
            if answer.status == 201:
                acknowledged.add((await answer.json())["image_id"])

    writers = [asyncio.create_task(write(worker)) for worker in range(4)]
    for _ in range(ROUNDS):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(database.crash)
        await asyncio.sleep(0.1)
        database.start()
        before = len(acknowledged)
        async with asyncio.timeout(5):
            while len(acknowledged) == before:
                await asyncio.sleep(0.01)
    ended.set()
    await asyncio.gather(*writers)
    assert statuses == {201, 503}
    *chunks, _ = await (await client.get("/images")).json()
    assert acknowledged <= {image["image_id"] for chunk in chunks for image in chunk}


async def test_a_list_continues_after_the_last_image_sent(client, database):
    fill = "insert into images (filename) select repeat('x', 200) from generate_series(1, 20000)"
    connection = await Connection.open(database.dsn, Limits())
    await connection.query(fill)
    connection.close()
    async with client.session.get(client.make_url("/images"), headers={"Accept": "application/x-ndjson"}) as answer:
        text = b""
        for _ in range(3):
            text += await answer.content.readexactly(300_000)
            await asyncio.to_thread(database.crash)
            database.start()
        text += await answer.read()
    *images, totals = [json.loads(line) for line in text.splitlines()]
    assert [image["image_id"] for image in images] == list(range(1, 20001))
    assert totals["totalImages"] == 20000


async def test_while_the_postmaster_is_frozen_open_connections_serve_and_new_ones_fail_in_time(client, database):
    assert (await client.post("/images", json={"filename": "a"})).status == 201
    database.freeze()
    try:
        for _ in range(5):
            assert (await client.get("/images/1")).status == 200
        started = asyncio.get_running_loop().time()
        answer = await client.get("/images")  # the pool of the lists has no connection yet
        assert answer.status == 503
        assert asyncio.get_running_loop().time() - started < 4
        assert (await client.get("/healthz")).status == 200
    finally:
        database.thaw()
    assert (await client.get("/images")).status == 200


async def test_when_the_server_has_no_connection_left_the_answer_is_503(client, database):
    held = []
    try:
        while True:
            held.append(await Connection.open(f"{database.dsn} application_name=greedy", Limits()))
    except errors.UnavailableError:
        pass
    answer = await client.get("/images")
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    for connection in held:
        connection.close()
    await asyncio.sleep(0.2)
    assert (await client.get("/images")).status == 200


async def test_a_read_only_database_still_serves_reads(client, database):
    assert (await client.post("/images", json={"filename": "a"})).status == 201
    admin = await Connection.open(database.dsn, Limits())
    await admin.query("alter role postgres set default_transaction_read_only = on")
    await admin.query(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'kt-images' and pid <> pg_backend_pid()"
    )
    await asyncio.sleep(0.1)
    try:
        assert (await client.post("/images", json={"filename": "b"})).status == 503
        assert (await client.get("/images/1")).status == 200
        assert (await client.get("/images")).status == 200
    finally:
        await admin.query("set default_transaction_read_only = off")
        await admin.query("alter role postgres reset default_transaction_read_only")
        admin.close()


async def test_a_statement_timeout_is_a_504_with_a_body(serve, database, client):
    hurried = await serve(postgres_dsn=database.dsn, statement_timeout=0.3, lock_timeout=10)
    await client.post("/images", json={"filename": "a"})
    holder = await Connection.open(database.dsn, Limits())
    await holder.query("begin; lock table images")
    slow = await hurried.get("/images/1")
    assert (slow.status, await slow.json()) == (504, {"error": "The database took too long to answer"})
    assert (await hurried.get("/images")).status == 504
    locked = await client.patch("/images/1", json={"filename": "b"})
    assert (locked.status, await locked.json()) == (503, {"error": "The database is busy with this; please try again"})
    await holder.query("rollback")
    holder.close()
    assert (await hurried.get("/images/1")).status == 200


@pytest.mark.parametrize("is_id_given_anew", [False, True])
async def test_a_transaction_that_a_crash_took_is_not_taken_for_committed(client, database, is_id_given_anew):
    """Its id is unknown then, or another's: nothing of it was on the disk."""

    async def work(connection):
        (own,) = await connection.query("insert into images (filename) values ('lost') returning xmin::text as id")
        await asyncio.to_thread(database.crash)
        await asyncio.to_thread(database.start)
        while is_id_given_anew and int(another(database.dsn)) < int(own.id):
            pass

    async with Pool(database.dsn, 2, Limits()) as pool:
        with pytest.raises(errors.UnavailableError):
            await certain.transaction(pool, work, 10)
        assert not await pool.query("select image_id from images where filename = 'lost'")


def another(dsn):
    """Commit another transaction; return its id."""
    return ask(dsn, "insert into images (filename) values ('another') returning xmin::text")[0][0]


def test_during_immediate_restarts_every_call_is_answered_or_503_and_none_hangs(database, settings):
    """uvloop, under which the service runs, stops watching a socket that has an error, before libpq has read it all."""
    settings = settings.model_copy(update={"postgres_dsn": database.dsn, "chunk_size": 100})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        crowd, complaints, left_over = runner.run(crowd_beside_restarts(database, settings))
    print(f"{ROUNDS} restarts: {dict(crowd.answers)}, slowest {dict(crowd.slowest)}", end="")
    assert {outcome for _, outcome in crowd.answers} == {200, 201, 503, "connected", "refused"}
    # A list may meet one restart after another.
    assert max(seconds for name, seconds in crowd.slowest.items() if name != "list") < 10
    assert crowd.slowest["list"] < 20
    assert (complaints, left_over) == ([], [])


class Crowd:
    """Writers, readers, lists and new sessions, each again and again until `ended`."""

    def __init__(self, client, dsn):
        self._client, self._dsn = client, dsn
        self.ended, self.answers, self.slowest = asyncio.Event(), Counter(), Counter()

    async def write(self):
        return (await self._client.post("/images", json={"filename": "a"})).status

    async def read(self):
        return (await self._client.get("/images/1")).status

    async def list(self):
        """A list that has begun is complete: the database is always back in time."""
        async with self._client.get("/images?limit=2000") as answer:
            whole = await answer.json()
            assert answer.status == 503 or whole[-1]["totalImages"] == 2000
            return answer.status

    async def connect(self):
        try:
            (await Connection.open(self._dsn, Limits())).close()
        except errors.UnavailableError:
            await asyncio.sleep(0.01)  # to be refused needs no waiting, and the loop is for all
            return "refused"
        return "connected"

    async def run(self, call):
        loop = asyncio.get_running_loop()
        while not self.ended.is_set():
            started = loop.time()
            self.answers[call.__name__, await call()] += 1
            self.slowest[call.__name__] = max(self.slowest[call.__name__], loop.time() - started)


def open_descriptors():
    return list(Path("/dev/fd").iterdir())


async def crowd_beside_restarts(database, settings):
    connection = await Connection.open(database.dsn, Limits())
    await schema.upgrade(connection)
    await connection.query("insert into images (filename) select repeat('x', 100) from generate_series(1, 3000)")
    connection.close()
    loop, complaints = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    # What a service opens once and for all stays open.
    async with TestClient(TestServer(create_app(settings))) as client:
        await asyncio.gather(*(client.post("/images", json={"filename": "a"}) for _ in range(12)))
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    async with TestClient(TestServer(create_app(settings))) as client:
        crowd = Crowd(client, database.dsn)
        calls = [crowd.write] * 8 + [crowd.read] * 2 + [crowd.list] * 4 + [crowd.connect] * 2
        running = [asyncio.create_task(crowd.run(call)) for call in calls]
        for _ in range(ROUNDS):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(database.crash)
            await asyncio.to_thread(database.start)
        await asyncio.sleep(0.3)
        crowd.ended.set()
        await asyncio.gather(*running)
    del running
    gc.collect()  # a session that nobody closed complains when it is collected
    left_over = [*(asyncio.all_tasks() - tasks), *open_descriptors()[len(descriptors) :]]
    return crowd, complaints, left_over
