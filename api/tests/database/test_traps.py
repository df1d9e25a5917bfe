"""aiopg's traps, each sprung on the bare library first, then on this service."""

import asyncio
import socket
import warnings

import aiopg
import psycopg2
import pytest

from kt_images import errors
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool

RUNNING = "select count(*) as n from pg_stat_activity where query = %s and state = 'active' and pid <> pg_backend_pid()"


@pytest.fixture
async def bare(dsn):
    """aiopg's own pool, of one connection."""
    # It reports errors to the loop as well as to the caller.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = await aiopg.create_pool(dsn, minsize=1, maxsize=1, timeout=0.5, enable_hstore=False)
        yield made
        forget(made)


@pytest.fixture
async def ours(dsn):
    async with Pool(dsn, 1, Limits(connect=0.5, acquire=0.5)) as made:
        yield made


def forget(bare):
    bare.terminate()
    while bare._free:
        bare._free.popleft().close()


async def close_while_somebody_waits(acquire, statement):
    """Let somebody wait for the only connection, which dies and is returned; return what the waiter gets."""
    async with acquire() as connection:
        waiting = asyncio.create_task(statement())
        await asyncio.sleep(0.05)
        connection.close()
    return await waiting


async def test_closing_a_lent_connection_wakes_no_waiter(bare, ours):
    async def ask():
        async with bare.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("select 1")

    with pytest.raises(TimeoutError):
        await close_while_somebody_waits(bare.acquire, ask)
    assert await close_while_somebody_waits(ours.connection, lambda: ours.query("select 1"))


async def test_closing_the_pool_hangs_forever(bare, dsn):
    async def die_while_it_closes(acquire, close):
        async with acquire() as connection:
            closing = asyncio.create_task(close())
            await asyncio.sleep(0.05)
            connection.close()
        await asyncio.wait_for(closing, 1)

    bare.close()
    bare._closing = False  # let it lend one more, as it has when it is told to close
    with pytest.raises(TimeoutError):
        await die_while_it_closes(bare.acquire, lambda: (bare.close(), bare.wait_closed())[1])
    ours = Pool(dsn, 1, Limits())
    await die_while_it_closes(ours.connection, ours.close)


async def test_a_statement_timeout_looks_like_a_cancelled_task(bare, dsn):
    async with bare.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("set statement_timeout = 50")
        with pytest.raises(asyncio.CancelledError):
            await cursor.execute("select pg_sleep(10)")
    async with Pool(dsn, 1, Limits(statement=0.05)) as ours:
        with pytest.raises(errors.TooSlowError):
            await ours.query("select pg_sleep(10)")


async def test_the_statement_of_a_client_that_left_keeps_running(bare, ours, pool):
    async def left_by(statement, sql):
        task = asyncio.create_task(statement(sql))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(1.5)
        return (await pool.query(RUNNING, (sql,)))[0].n

    async def ask(sql):
        async with bare.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(sql)

    assert await left_by(ask, "select pg_sleep(4)") == 1
    assert await left_by(ours.query, "select pg_sleep(5)") == 0


async def test_a_connect_that_hangs_delays_no_healthy_connection(dsn):
    """aiopg connects under a lock that everybody needs."""
    async with Pool(dsn, 2, Limits(connect=20, acquire=20)) as ours:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with ours.connection():
                ours._dsn = f"host=127.0.0.1 port={silent.getsockname()[1]}"
                hanging = asyncio.create_task(ours.query("select 1"))
                await asyncio.sleep(0.05)
            assert await asyncio.wait_for(ours.query("select 1"), 10)
            hanging.cancel()
            await asyncio.wait([hanging])


async def test_a_broken_commit_looks_like_any_broken_connection(bare, ours, pool):
    end = "select pg_terminate_backend(%s, 5000)"
    async with bare.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("begin")
        await pool.query(end, (await connection.get_backend_pid(),))
        await asyncio.sleep(0.05)
        with pytest.raises(psycopg2.Error):
            await cursor.execute("commit")
    with pytest.raises(errors.CommitInDoubtError):
        async with ours.transaction() as ours_connection:
            await pool.query(end, (await ours_connection.query("select pg_backend_pid()")))
            await asyncio.sleep(0.05)


async def test_a_whole_result_is_in_memory_before_the_first_row(bare, ours):
    """Without a cursor all of it is fetched before the first row is returned; FETCH brings a chunk."""
    async with bare.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("select generate_series(1, 100000)")
        assert cursor.rowcount == 100_000
    async with ours.connection() as connection:
        connection.send(
            "begin; declare list no scroll cursor for select generate_series(1, 100000); fetch forward 10 from list"
        )
        assert len(await connection.receive()) == 10
        await connection.query("rollback")
