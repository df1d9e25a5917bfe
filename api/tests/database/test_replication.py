"""Three real servers in streaming replication: the primary is killed while a list and writes are under way."""

import asyncio
import json
import os
import signal
import subprocess
from contextlib import ExitStack

import psycopg2
import pytest

from kt_images import errors
from kt_images.database import embedded, images, schema
from kt_images.database.connection import Connection, Limits
from kt_images.database.hosts import preferring_standbys
from kt_images.database.pool import Pool
from kt_images.models.images import NewImage
from kt_images.views import app_keys

LIMITS = Limits(connect=1, acquire=2)

# A commit waits for one standby: acknowledged changes survive the primary.
SYNCHRONOUS = "alter system set synchronous_standby_names = 'ANY 1 (*)'; select pg_reload_conf()"


class Server:
    """One of the three: its data folder and its socket's folder."""

    def __init__(self, data, dsn):
        self.data, self.dsn = data, dsn
        self.sockets = dsn.split()[0].removeprefix("host=")

    def ask(self, *statements):
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
            row = cursor.fetchone()
        connection.close()
        return row[0]

    def kill(self):
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # an immediate shutdown: no checkpoint, no goodbye


def standby_of(primary, data):
    """Copy the primary's data; a server started on the copy follows the primary."""
    backup = embedded.find_binaries() / "pg_basebackup"
    arguments = ["-h", primary.sockets, "-U", "postgres", "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync"]
    subprocess.run([backup, *arguments], check=True, capture_output=True)
    owner = primary.data.stat()
    for path in [data, *data.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)


@pytest.fixture
def three(folder, request):
    name = f"replicated-{abs(hash(request.node.name))}"
    with ExitStack() as stack:
        paths = [folder / f"{name}-{n}" for n in range(3)]
        primary = Server(paths[0], stack.enter_context(embedded.running(paths[0])))
        servers = [primary]
        for path in paths[1:]:
            standby_of(primary, path)
            servers.append(Server(path, stack.enter_context(embedded.running(path))))
        primary.ask(*SYNCHRONOUS.split(";"))
        yield servers


async def prepared(servers, rows):
    """Create the schema and some images; return the DSN of all three."""
    connection = await Connection.open(servers[0].dsn, Limits())
    await schema.upgrade(connection)
    await connection.query("insert into images (filename) select 'f' || n from generate_series(1, %s) as n", (rows,))
    connection.close()
    return f"host={','.join(server.sockets for server in servers)} user=postgres dbname=postgres"


async def caught_up(pool, count):
    async with asyncio.timeout(10):
        while (await pool.query("select count(*) as n from images"))[0].n < count:
            await asyncio.sleep(0.02)


def promote(servers):
    """Promote the standby that received most; the other follows it."""
    heir, other = sorted(servers[1:], key=lambda server: server.ask("select pg_last_wal_receive_lsn()"), reverse=True)
    heir.ask("select pg_promote()")
    heir.ask("alter system reset synchronous_standby_names", "select pg_reload_conf()")
    return heir, other


async def test_writes_follow_the_primary_and_no_acknowledged_one_is_lost(three):
    dsn = await prepared(three, 0)
    acknowledged, refused = [], []
    async with Pool(f"{dsn} target_session_attrs=read-write", 4, LIMITS) as pool:

        async def write(worker):
            for n in range(10_000):
                if ended.is_set():
                    return
                try:
                    await images.create(pool, [NewImage(filename=f"{worker}-{n}")])
                    acknowledged.append(f"{worker}-{n}")
                except errors.UnavailableError as error:
                    refused.append(error)
                    await asyncio.sleep(0.02)

        ended = asyncio.Event()
        writers = [asyncio.create_task(write(worker)) for worker in range(4)]
        await asyncio.sleep(0.5)
        three[0].kill()
        await asyncio.sleep(0.2)
        await asyncio.to_thread(promote, three)
        before = len(acknowledged)
        async with asyncio.timeout(10):
            while len(acknowledged) < before + 50:
                await asyncio.sleep(0.05)
        ended.set()
        await asyncio.gather(*writers)
        kept = {row.filename for row in await pool.query("select filename from images")}
    assert before
    assert refused
    assert set(acknowledged) <= kept


async def test_a_list_continues_on_another_server(three, serve):
    dsn = await prepared(three, 20_000)
    client = await serve(
        postgres_dsn=f"{dsn} target_session_attrs=read-write", postgres_replica_dsn=dsn, chunk_size=100
    )
    replica = client.app[app_keys.DATABASE].replica.streams
    await caught_up(replica, 20_000)
    async with client.session.get(client.make_url("/images"), headers={"Accept": "application/x-ndjson"}) as answer:
        beginning = await answer.content.read(1000)
        await asyncio.sleep(1.5)  # beyond the lease
        three[0].kill()
        reader = (await replica.query("select inet_server_addr(), current_setting('data_directory') as data"))[0].data
        heir, _ = await asyncio.to_thread(promote, three)
        for server in three[1:]:
            if str(server.data) == reader and server is not heir:
                server.kill()
        lines = (beginning + await answer.read()).splitlines()
    *listed, totals = [json.loads(line) for line in lines]
    assert totals == {"totalImages": 20_000, "totalChunks": 200}
    assert [image["image_id"] for image in listed] == list(range(1, 20_001))


async def test_reads_go_to_a_standby_and_writes_to_the_primary_which_a_client_may_also_read(three, serve):
    dsn = await prepared(three, 3)
    client = await serve(postgres_dsn=f"{dsn} target_session_attrs=read-write", postgres_replica_dsn=dsn)
    await caught_up(client.app[app_keys.DATABASE].replica.statements, 3)
    for server in three[1:]:
        server.ask("select pg_wal_replay_pause()")
    three[0].ask("alter system reset synchronous_standby_names", "select pg_reload_conf()")
    created = await client.post("/images", json={"filename": "new.jpg", "tags": ["new"]})
    assert created.status == 201
    url, newest = created.headers["Location"], {"Cache-Control": "no-cache"}
    assert (await client.get(url)).status == 404
    assert (await client.get(url, headers=newest)).status == 200
    assert (await (await client.get("/images")).json())[-1]["totalImages"] == 3
    assert (await (await client.get("/images", headers=newest)).json())[-1]["totalImages"] == 4
    for server in three[1:]:
        server.kill()
    async with asyncio.timeout(10):
        while (await client.get(url)).status != 200:  # the primary stands in
            await asyncio.sleep(0.05)
    assert (await (await client.get("/images")).json())[-1]["totalImages"] == 4


async def test_a_primary_that_became_read_only_is_abandoned(three):
    """As after a planned switchover: the session to the old primary stays open, read-only."""
    dsn = await prepared(three, 0)
    async with Pool(f"{dsn} target_session_attrs=read-write", 1, LIMITS) as pool:
        await images.create(pool, [NewImage(filename="before")])
        async with pool.connection() as connection:
            await connection.query("set default_transaction_read_only = on")
        with pytest.raises(errors.UnavailableError, match="takes no changes"):
            await images.create(pool, [NewImage(filename="refused")])
        assert await images.create(pool, [NewImage(filename="after")])


async def test_standbys_are_preferred_and_the_primary_is_used_without_one(three):
    dsn = preferring_standbys(await prepared(three, 0))
    async with Pool(dsn, 1, LIMITS) as pool:
        assert (await pool.query("select pg_is_in_recovery() as standby"))[0].standby
    for server in three[1:]:
        server.kill()
    async with Pool(dsn, 1, LIMITS) as pool:
        assert not (await pool.query("select pg_is_in_recovery() as standby"))[0].standby


async def test_replicas_that_are_behind_or_away_make_the_service_degraded_not_unready(three, serve):
    async def readiness():
        answer = await client.get("/readyz")
        return answer.status, await answer.json()

    async def soon(*reasons):
        expected = {"status": "degraded", "reasons": [*reasons]} if reasons else {"status": "ok"}
        async with asyncio.timeout(10):
            while (found := await readiness()) != (200, expected):
                assert found[0] == 200
                await asyncio.sleep(0.05)

    dsn = await prepared(three, 3)
    three[0].ask("alter system reset synchronous_standby_names", "select pg_reload_conf()")
    client = await serve(
        postgres_dsn=f"{dsn} target_session_attrs=read-write", postgres_replica_dsn=dsn, max_replica_lag=1
    )
    await caught_up(client.app[app_keys.DATABASE].replica.statements, 3)
    await asyncio.sleep(1.5)  # an idle primary makes no replica late
    assert await readiness() == (200, {"status": "ok"})
    for server in three[1:]:
        server.ask("select pg_wal_replay_pause()")
    assert (await client.post("/images", json={"filename": "new.jpg"})).status == 201
    await soon("The replica is behind: what it shows is old")
    for server in three[1:]:
        server.ask("select pg_wal_replay_resume(), 1")
    await soon()
    for server in three[1:]:
        server.kill()
    await soon("No replica can be reached: the primary is read instead")
    async with asyncio.timeout(10):
        while (await client.get("/images/1")).status != 200:
            await asyncio.sleep(0.05)
