"""Sessions: what aiopg does when left alone, and what must happen here."""

import asyncio
import os
import resource
import socket
from pathlib import Path

import aiopg
import psycopg2
import pytest

from kt_images import errors
from kt_images.database.connection import Connection, Limits


@pytest.fixture
async def connection(dsn):
    made = await Connection.open(dsn, Limits())
    yield made
    made.close()


async def test_rows_are_named_tuples(connection):
    (row,) = await connection.query("select 1 as one, array['a', 'b'] as letters")
    assert (row.one, row.letters) == (1, ["a", "b"])


async def test_a_statement_timeout_is_an_error_of_its_own(dsn):
    """aiopg reports a cancelled task, which no error handler sees."""
    options = "options='-c statement_timeout=50ms'"
    async with aiopg.connect(f"{dsn} {options}") as bare, bare.cursor() as cursor:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        with pytest.raises(asyncio.CancelledError):
            await cursor.execute("select pg_sleep(10)")
    ours = await Connection.open(dsn, Limits(statement=0.05))
    with pytest.raises(errors.TooSlowError):
        await ours.query("select pg_sleep(10)")
    assert [row.two for row in await ours.query("select 2 as two")] == [2]
    ours.close()


async def test_waiting_for_a_lock_times_out(dsn, pool):
    impatient = await Connection.open(dsn, Limits(lock=0.05))
    async with pool.transaction() as holder:
        await holder.query("lock table images")
        with pytest.raises(errors.UnavailableError, match="busy"):
            await impatient.query("select * from images")
    impatient.close()


async def test_a_cancelled_statement_stops_on_the_server_too(dsn, pool):
    """Within a second the server notices that its client has gone."""
    ours = await Connection.open(dsn, Limits())
    task = asyncio.create_task(ours.query("select pg_sleep(60) -- to be cancelled"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ours.is_sound()
    running = (
        "select count(*) as n from pg_stat_activity where query like '%%to be cancelled' and pid <> pg_backend_pid()"
    )
    for _ in range(30):
        await asyncio.sleep(0.1)
        if (await pool.query(running))[0].n == 0:
            return
    pytest.fail("the statement still runs")


async def test_connecting_where_no_server_is_fails(tmp_path):
    with pytest.raises(errors.UnavailableError):
        await Connection.open(f"host={tmp_path}", Limits())


async def test_connecting_to_a_silent_server_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = asyncio.get_running_loop().time()
        with pytest.raises(errors.UnavailableError):
            await Connection.open(f"host=127.0.0.1 port={silent.getsockname()[1]}", Limits(connect=0.2))
        assert asyncio.get_running_loop().time() - started < 1.5


async def test_connecting_goes_on_to_the_next_host(dsn, tmp_path):
    """aiopg watches only the first host's socket (its issue 647) and hangs until its timeout."""
    folder = dict(part.split("=") for part in dsn.split())["host"]
    connection = await Connection.open(f"host={tmp_path},{folder} user=postgres dbname=postgres", Limits())
    assert (await connection.query("select 1 as one"))[0].one == 1
    connection.close()


async def test_a_failure_rolls_back_and_leaves_the_session_usable(connection):
    with pytest.raises(ZeroDivisionError):
        async with connection.transaction():
            await connection.query("insert into images (filename) values ('a')")
            raise ZeroDivisionError
    assert (await connection.query("select count(*) as n from images"))[0].n == 0
    assert connection.is_idle()


async def test_a_session_in_a_transaction_or_in_a_statement_is_not_idle(connection):
    async with connection.transaction():
        assert not connection.is_idle()
    assert connection.is_idle()
    statement = asyncio.create_task(connection.query("select pg_sleep(0.2)"))
    await asyncio.sleep(0.05)
    assert not connection.is_idle()
    await statement


async def test_a_session_whose_server_is_gone_is_not_idle_and_does_not_spin(connection, pool):
    """aiopg keeps watching it, and the loop finds something to read again and again."""
    pid = (await connection.query("select pg_backend_pid() as pid"))[0].pid
    await pool.query("select pg_terminate_backend(%s, 5000)", (pid,))
    await asyncio.sleep(0.1)
    assert not connection.is_idle()
    before = os.times()
    await asyncio.sleep(0.3)
    after = os.times()
    assert (after.user - before.user) + (after.system - before.system) < 0.2
    with pytest.raises(errors.UnavailableError):
        await connection.query("select 1")


async def test_a_commit_whose_answer_is_lost_is_in_doubt(connection, pool):
    pid = (await connection.query("select pg_backend_pid() as pid"))[0].pid
    with pytest.raises(errors.CommitInDoubtError):
        async with connection.transaction():
            await connection.query("insert into images (filename) values ('a')")
            await pool.query("select pg_terminate_backend(%s, 5000)", (pid,))
            await asyncio.sleep(0.05)


async def test_errors_in_our_own_sql_are_not_translated(connection):
    with pytest.raises(psycopg2.errors.SyntaxError):
        await connection.query("selekt 1")


async def test_options_in_the_dsn_override_the_limits(dsn):
    connection = await Connection.open(f"{dsn} options='-c statement_timeout=7s' application_name=mine", Limits())
    names = ("statement_timeout", "lock_timeout", "application_name")
    assert [(await connection.query(f"show {name}"))[0][0] for name in names] == ["7s", "3s", "mine"]
    connection.close()


async def test_descriptors_above_1023_work(dsn):
    """aiopg calls select(), which fails there, and the caller waits forever."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1500:
        if hard != resource.RLIM_INFINITY and hard < 1500:
            pytest.skip("the system allows too few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (1500, hard))
    held = []
    try:
        held.extend(os.dup(0) for _ in range(1100))
        connection = await Connection.open(dsn, Limits())
        assert connection._driver._libpq.fileno() > 1023
        with pytest.raises(psycopg2.errors.DivisionByZero):
            await connection.query("select 1 / 0")
        connection.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_closing_a_session_ends_the_wait_for_its_answer(connection):
    waiting = asyncio.create_task(connection.query("select pg_sleep(60)"))
    await asyncio.sleep(0.1)
    connection.close()
    with pytest.raises(errors.UnavailableError):
        await asyncio.wait_for(waiting, 10)


async def test_a_closed_session_leaves_no_descriptor_behind_however_it_ended(dsn, tmp_path):
    before = len(list(Path("/dev/fd").iterdir()))
    for seconds in (0, 0.001, 0.002, 0.003, 0.005, 1):
        opening = asyncio.create_task(Connection.open(dsn, Limits()))
        await asyncio.sleep(seconds)
        opening.cancel()
        for connection in await asyncio.gather(opening, return_exceptions=True):
            if isinstance(connection, Connection):
                connection.close()
    with pytest.raises(errors.UnavailableError):
        await Connection.open(f"host={tmp_path}", Limits())
    assert len(list(Path("/dev/fd").iterdir())) == before


async def test_without_a_descriptor_for_another_session_the_database_is_unavailable(dsn):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(errors.UnavailableError):
            await Connection.open(dsn, Limits())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_full_disk_of_the_database_is_named_as_such(connection):
    with pytest.raises(errors.DiskFullError, match="database's disk"):
        await connection.query("do $$ begin raise exception using errcode = 'disk_full'; end $$")
