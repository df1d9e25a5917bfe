"""The list beneath HTTP: it reads ahead, holds nothing for a client that isn't reading, and survives its database."""

import asyncio
import json
from contextlib import aclosing

import pytest

from kt_images import errors
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool
from kt_images.database.selection import ImageQuery
from kt_images.database.stream import Pace, chunks
from kt_images.models.images import Selection

FILL = "insert into images (filename, tags) select 'f' || n, array['t' || n % 10] from generate_series(1, 1000) as n"
PACE = Pace(size=10, lease=0.05, patience=5, pause=0.01)


@pytest.fixture
async def single(dsn, pool):
    """A pool of one connection: whoever holds it keeps everybody else out."""
    await pool.query(FILL)
    async with Pool(f"{dsn} application_name=single", 1, Limits(acquire=1)) as made:
        yield made


def lines(documents):
    return "\n".join(documents).encode()


def ids(chunk):
    return [json.loads(document)["image_id"] for document in chunk.body.decode().split("\n")]


async def collected(pool, pace=PACE, between=None, **wanted):
    found = []
    async with aclosing(chunks(pool, ImageQuery(wanted=Selection(**wanted)), lines, pace)) as stream:
        async for chunk in stream:
            assert chunk.count == len(ids(chunk))
            found += ids(chunk)
            if between:
                await between(chunk)
    return found


async def test_every_image_appears_once_and_in_order(single):
    assert await collected(single) == list(range(1, 1001))


async def test_a_client_that_does_not_read_holds_no_connection(single):
    async def slow(chunk):
        if ids(chunk)[-1] % 200 == 0:
            await asyncio.sleep(0.2)
            assert await single.query("select 1")

    assert await collected(single, between=slow) == list(range(1, 1001))


async def test_a_limit_holds_across_interruptions(single):
    async def slow(_):
        await asyncio.sleep(0.07)

    assert (
        await collected(single, between=slow, limit=105, tags_any=["t1", "t2"])
        == [n for n in range(1, 1001) if n % 10 in {1, 2}][:105]
    )


async def test_a_client_that_reads_keeps_its_cursor(single, pool):
    """A new cursor for each chunk makes the list of a rare tag 20 times slower."""
    committed = "select xact_commit as n from pg_stat_database where datname = 'postgres'"
    before = (await pool.query(committed))[0].n
    assert len(await collected(single, Pace(size=1, lease=5))) == 1000
    assert (await pool.query(committed))[0].n - before < 50


async def test_a_list_continues_after_its_sessions_were_terminated(single, pool):
    async def end(chunk):
        if ids(chunk)[-1] in {100, 500}:
            await pool.query(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'single'"
            )

    assert await collected(single, between=end) == list(range(1, 1001))


async def test_a_database_that_stays_unreachable_ends_the_list_with_an_error(single, pool):
    async def end(_):
        await pool.query("alter role postgres connection limit 0")
        await pool.query(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'single'"
        )
        single._dsn = "host=/nowhere"

    try:
        with pytest.raises(errors.UnavailableError):
            await collected(single, Pace(size=10, lease=0.05, patience=0.3, pause=0.01), between=end)
    finally:
        await pool.query("alter role postgres connection limit -1")


async def test_an_unreachable_database_before_the_first_chunk_is_an_error_at_once():
    nowhere = Pool("host=/nowhere", 1, Limits())
    with pytest.raises(errors.UnavailableError):
        await asyncio.wait_for(collected(nowhere, Pace(patience=60)), 2)


async def test_an_abandoned_stream_gives_its_connection_back(single):
    tasks = len(asyncio.all_tasks())
    for _ in range(50):
        async with aclosing(chunks(single, ImageQuery(wanted=Selection()), lines, PACE)) as stream:
            await anext(stream)
    assert len(asyncio.all_tasks()) == tasks
    assert await single.query("select 1")


async def test_uncommonly_long_images_come_in_smaller_chunks(single, pool):
    """The memory held for a client must not depend on what others have stored."""
    long = "array(select repeat(chr(128247), 90) || n from generate_series(1, 60) as n)"  # 22 KB in UTF-8
    await pool.query(f"update images set tags = {long} where image_id between 201 and 400")
    held = []

    async def measure(chunk):
        held.append((chunk.count, len(chunk.body)))

    assert await collected(single, Pace(size=100), between=measure) == list(range(1, 1001))
    assert max(length for _, length in held) <= 512 * 1024
    assert held[0][0] == held[-2][0] == 100
