"""Sharing connections: nobody starves, nothing leaks, closing ends."""

import asyncio
import os
import random

import pytest

from kt_images import errors
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool

# `make faults` asks for more.
ROUNDS = int(os.environ.get("KT_TEST_ROUNDS", "3"))

BACKENDS = "select count(*) as n from pg_stat_activity where application_name = 'small'"


@pytest.fixture
async def small(dsn):
    async with Pool(f"{dsn} application_name=small", 2, Limits(acquire=0.5)) as made:
        yield made


async def test_connections_are_reused(small):
    pids = {(await small.query("select pg_backend_pid() as pid"))[0].pid for _ in range(5)}
    assert len(pids) == 1


async def test_waiting_for_a_connection_times_out(small):
    async with small.connection(), small.connection():
        with pytest.raises(errors.UnavailableError, match="busy"):
            await small.query("select 1")
    assert await small.query("select 1")


async def test_a_connection_that_dies_frees_its_place_at_once(small):
    """In aiopg's pool it wakes nobody: the others wait until their timeout."""

    async def die():
        async with small.connection() as connection:
            await asyncio.sleep(0.05)
            connection.close()

    loop = asyncio.get_running_loop()
    dying = [asyncio.create_task(die()) for _ in range(2)]
    await asyncio.sleep(0.01)
    started = loop.time()
    await small.query("select 1")
    assert loop.time() - started < 0.4
    await asyncio.gather(*dying)


async def test_a_dead_connection_is_not_lent(small, pool):
    await small.query("select 1")
    await pool.query("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'small'")
    await asyncio.sleep(0.1)
    assert (await small.query("select 1 as one"))[0].one == 1


async def test_a_connection_left_in_a_transaction_is_not_lent(small):
    async with small.connection() as connection:
        await connection.query("begin")
    async with small.connection() as connection:
        assert connection.is_idle()


async def test_closing_waits_for_connections_on_loan_and_then_closes_all(dsn, pool):
    closing = Pool(f"{dsn} application_name=small", 2, Limits())
    working = asyncio.create_task(closing.query("select pg_sleep(0.3), 7 as seven"))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(closing.close(), 5)
    assert (await working)[0].seven == 7
    async with asyncio.timeout(10):
        while (await pool.query(BACKENDS))[0].n:
            await asyncio.sleep(0.02)


async def test_closing_does_not_wait_forever(dsn):
    """aiopg's wait_closed() does."""
    closing = Pool(dsn, 1, Limits(statement=0.2))
    async with closing.connection():
        await asyncio.wait_for(closing.close(), 10)


async def test_requests_cancelled_at_random_moments_leave_nothing_behind(small, pool):
    rolls = random.Random(1)

    async def work():
        async with small.transaction() as connection:
            await connection.query("select pg_sleep(0.001)")

    loop = asyncio.get_running_loop()
    before = len(asyncio.all_tasks())
    for _ in range(30 * ROUNDS):
        tasks = [asyncio.create_task(work()) for _ in range(20)]
        for task in tasks:
            loop.call_later(rolls.random() * 0.02, task.cancel)
        await asyncio.wait(tasks)
    async with asyncio.timeout(20):
        while len(asyncio.all_tasks()) != before or (await pool.query(BACKENDS))[0].n > 2:
            await asyncio.sleep(0.05)
    async with small.connection(), small.connection():
        pass
