"""Requests that share statements: each gets its own answer or its own error, and nobody waits for nothing."""

import asyncio
import random
import tracemalloc

import psycopg2.errors
import pytest

from kt_images import errors
from kt_images.database import images
from kt_images.database.batcher import MOST, TURNS, Batcher
from kt_images.database.connection import Connection, Limits
from kt_images.database.pool import Pool
from kt_images.database.shared import Shared
from kt_images.models.images import NewImage

# Slow enough for others to queue up; fails as a whole for a zero.
SHARES = "select 100 / n as share from unnest(%(ns)s::int[]) with ordinality as given (n, place) order by place"
WAITING = "from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'insert into images|recordset'"
SLOW = "select n from unnest(%(ns)s::int[]) as n, pg_sleep(%(seconds)s)"


@pytest.fixture
def statements():
    """What was run, each as the list of its requests."""
    return []


@pytest.fixture
def shares(pool, statements):
    async def run(ns):
        statements.append(list(ns))
        return [row.share for row in await pool.query(SHARES, {"ns": list(ns)})]

    return Batcher(run)


def sleeping(pool, seconds, statements):
    async def run(ns):
        statements.append(list(ns))
        return [row.n for row in await pool.query(SLOW, {"ns": list(ns), "seconds": seconds})]

    return Batcher(run)


async def test_a_request_alone_waits_for_nobody(shares, statements):
    for n in (1, 2, 4):
        assert await shares.ask(n) == 100 // n
    assert statements == [[1], [2], [4]]


async def test_requests_at_the_same_time_share_statements_and_get_their_own_answers(shares, statements):
    ns = [random.randint(1, 100) for _ in range(1000)]
    assert await asyncio.gather(*map(shares.ask, ns)) == [100 // n for n in ns]
    assert [n for statement in statements for n in statement] == ns  # first come, first served
    assert len(statements) <= TURNS + 1 + len(ns) // MOST
    assert max(map(len, statements)) == MOST


async def test_a_request_that_fails_fails_alone(shares):
    ns = [random.choice((0, 1, 5, 20)) for _ in range(300)]
    answers = await asyncio.gather(*map(shares.ask, ns), return_exceptions=True)
    for n, answer in zip(ns, answers, strict=True):
        assert answer == 100 // n if n else isinstance(answer, psycopg2.errors.DivisionByZero)


async def test_those_who_are_cancelled_take_nobody_elses_answer_away(shares, pool):
    for _ in range(20):
        tasks = {n: asyncio.create_task(shares.ask(n)) for n in range(1, 200)}
        for n in random.sample(range(1, 200), 100):
            if random.random() < 0.5:
                await asyncio.sleep(0)
            tasks[n].cancel()
        for n, task in tasks.items():
            try:
                assert await task == 100 // n
            except asyncio.CancelledError:
                assert task.cancelling()
    assert await shares.ask(10) == 10


async def test_what_nobody_waits_for_any_more_is_not_run(pool, statements):
    slow = sleeping(pool, 0.1, statements)
    first = [asyncio.create_task(slow.ask(n)) for n in range(TURNS)]
    left = [asyncio.create_task(slow.ask(n)) for n in range(100, 200)]
    await asyncio.sleep(0)
    for task in left:
        task.cancel()
    await asyncio.gather(*first)
    assert await slow.ask(7) == 7
    assert statements == [*([n] for n in range(TURNS)), [7]]


async def test_a_statement_that_takes_too_long_fails_those_that_share_it_and_nobody_else(dsn, statements):
    async with Pool(dsn, 4, Limits(statement=1)) as pool:

        async def run(seconds):
            statements.append(list(seconds))
            await pool.query("select pg_sleep(%(longest)s)", {"longest": max(seconds)})
            return seconds

        slow = Batcher(run)
        hanging = [asyncio.create_task(slow.ask(5)) for _ in range(TURNS + 10)]
        await asyncio.sleep(0.1)
        assert await slow.ask(0) == 0
        assert not any(task.done() for task in hanging)
        answers = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(answer) for answer in answers} == {errors.TooSlowError}
        assert len(statements) == TURNS + 2  # none was tried again


async def test_a_held_up_statement_does_not_hold_up_those_behind_it(pool, statements):
    slow = sleeping(pool, 1, statements)
    hanging = [asyncio.create_task(slow.ask(n)) for n in range(TURNS)]
    behind = asyncio.create_task(slow.ask(9))
    await asyncio.sleep(0.2)
    assert statements[-1] == [9]
    await asyncio.gather(*hanging, behind)


async def test_a_lost_connection_leaves_creations_in_doubt_and_repeats_none(dsn, pool):
    """What is tried again might be stored twice."""
    watching = await Connection.open(dsn, Limits())
    async with pool.transaction() as other:
        await other.query("lock table images in exclusive mode")
        shared = Shared(pool)
        creating = [asyncio.create_task(shared.create_image(NewImage(filename=str(n)))) for n in range(50)]
        async with asyncio.timeout(2.5):
            while len(await watching.query(f"select pid {WAITING}")) < TURNS + 1:
                await asyncio.sleep(0.01)
        await watching.query(f"select pg_terminate_backend(pid) {WAITING}")
        answers = await asyncio.gather(*creating, return_exceptions=True)
    watching.close()
    assert {type(answer) for answer in answers} == {errors.CommitInDoubtError}
    assert not await pool.query("select image_id from images")


async def test_a_read_only_database_leaves_nothing_in_doubt(dsn):
    async with Pool(f"{dsn} options='-c default_transaction_read_only=on'", 2, Limits()) as pool:
        with pytest.raises(errors.ReadOnlyError):
            await Shared(pool).create_image(NewImage(filename="a"))


async def test_a_busy_table_leaves_nothing_in_doubt(dsn, pool):
    async with Pool(dsn, 2, Limits(lock=0.1)) as hasty, pool.connection() as other, other.transaction():
        await other.query("lock table images in exclusive mode")
        with pytest.raises(errors.UnavailableError, match="busy with this") as caught:
            await Shared(hasty).create_image(NewImage(filename="a"))
        assert type(caught.value) is errors.UnavailableError


async def test_each_creation_gets_its_own_image(pool):
    shared = Shared(pool)
    names = [f"{n}.jpg" for n in range(500)]
    made = await asyncio.gather(*(shared.create_image(NewImage(filename=name, tags=[name])) for name in names))
    stored = {row.image_id: row for row in await pool.query("select image_id, filename, tags from images")}
    for name, document in zip(names, made, strict=True):
        assert (stored[document.image_id].filename, stored[document.image_id].tags) == (name, [name])
        assert f'"filename":"{name}"' in document.json
    for start in range(TURNS, len(made), MOST):  # those that shared a statement
        ids = [document.image_id for document in made[start : start + MOST]]
        assert ids == sorted(ids)


async def test_rows_of_one_statement_keep_their_order(pool):
    made = await images.create(pool, [NewImage(filename=f"{n}") for n in random.sample(range(1000), 1000)])
    rows = await pool.query("select document from images order by image_id")
    assert [document.json for document in made] == [row.document for row in rows]


async def test_an_answer_is_never_older_than_the_request(pool):
    """Else a client that was told of its change would read the state before it."""
    shared = Shared(pool)
    image_id = (await shared.create_image(NewImage(filename="0"))).image_id
    others = [asyncio.create_task(_keep_reading(shared, image_id)) for _ in range(20)]
    for n in range(100):
        await pool.query("update images set filename = %s", (str(n),))
        assert f'"filename":"{n}"' in (await shared.read_image(image_id)).json
    for other in others:
        other.cancel()


async def _keep_reading(shared, image_id):
    while True:
        await shared.read_image(image_id)


async def test_a_flood_does_not_delay_other_kinds_of_requests(pool):
    shared = Shared(pool)
    image_id = (await shared.create_image(NewImage(filename="a"))).image_id
    flood = asyncio.gather(*(shared.create_image(NewImage(filename="b", tags=["c" * 100])) for _ in range(20_000)))
    await asyncio.sleep(0)
    await shared.read_image(image_id)
    assert not flood.done()
    await flood


async def test_a_thousand_who_wait_take_little_memory(pool):
    shared = Shared(pool)
    async with pool.connection(), pool.connection(), pool.connection(), pool.connection():
        new = NewImage(filename="a", tags=["b"])
        tracemalloc.start()
        waiting = [asyncio.create_task(shared.create_image(new)) for _ in range(1000)]
        await asyncio.sleep(0.3)
        assert tracemalloc.get_traced_memory()[0] < 10 * 2**20
        tracemalloc.stop()
    assert len({document.image_id for document in await asyncio.gather(*waiting)}) == 1000
