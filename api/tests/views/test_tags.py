"""Tags: every count is exact at every moment, and a list of tags keeps the promises of lists."""

import asyncio
import json
import random
import tempfile
from collections import Counter

import psycopg2
import pytest

from kt_images.database import schema, tags
from kt_images.database.connection import Connection, Limits

TRUTH = "select tag, count(*) as images from images, unnest(tags) as tag group by tag"


@pytest.fixture
async def filled(client):
    for number, given in enumerate([["red", "round"], ["red"], ["Redwood", "blue"], [], ["blue", "red", "a%_\\b"]]):
        await client.post("/images", json={"filename": f"{number}.jpg", "tags": given})
    return client


async def listed(client, query=""):
    answer = await client.get(f"/tags{query}")
    assert answer.status == 200, await answer.text()
    *chunks, totals = await answer.json()
    found = [(one["tag"], one["images"]) for chunk in chunks for one in chunk]
    assert totals == {"totalTags": len(found), "totalChunks": len(chunks)}
    return found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [("Redwood", 1), ("a%_\\b", 1), ("blue", 2), ("red", 3), ("round", 1)]),
        ("?order=images", [("red", 3), ("blue", 2), ("Redwood", 1), ("a%_\\b", 1), ("round", 1)]),
        ("?order=images&limit=1", [("red", 3)]),
        ("?tag=red&tag=blue&tag=green", [("blue", 2), ("red", 3)]),
        ("?prefix=re", [("Redwood", 1), ("red", 3)]),
        ("?prefix=RE&order=images", [("red", 3), ("Redwood", 1)]),
        ("?prefix=red&limit=1", [("Redwood", 1)]),
        ("?prefix=ed", []),
        ("?contains=ED", [("Redwood", 1), ("red", 3)]),
        ("?contains=%25_", [("a%_\\b", 1)]),
        ("?contains=%5C", [("a%_\\b", 1)]),
        ("?prefix=a_", []),
        ("?prefix=a%25", [("a%_\\b", 1)]),
        ("?after=blue", [("red", 3), ("round", 1)]),
        ("?after=blue&prefix=r&limit=1", [("red", 3)]),
        ("?after=zzz", []),
    ],
)
async def test_tags_are_listed_with_the_number_of_their_images(filled, query, found):
    assert await listed(filled, query) == found


@pytest.mark.parametrize(
    "query",
    ["tags=a", "tag=", "prefix=", "prefix=a&prefix=b", "contains=", "order=size", "order=images&after=a", "limit=0", "limit=x", "after=%00"],
)  # fmt: skip
async def test_a_parameter_that_is_not_in_the_contract_is_refused(filled, query):
    assert (await filled.get(f"/tags?{query}")).status == 400


async def test_case_is_ignored_in_every_script(client):
    await client.post("/images", json={"filename": "a", "tags": ["Äpfel", "ÉTÉ", "ящик"]})
    assert await listed(client, "?prefix=ä") == [("Äpfel", 1)]
    assert await listed(client, "?contains=té") == [("ÉTÉ", 1)]
    assert await listed(client, "?prefix=Я") == [("ящик", 1)]


def test_case_is_ignored_whatever_the_locale(server_dsn):
    admin = psycopg2.connect(server_dsn)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("drop database if exists plain with (force)")
        cursor.execute("create database plain template template0 locale_provider libc lc_collate 'C' lc_ctype 'C'")
        made = server_dsn.replace("dbname=postgres", "dbname=plain")
        asyncio.run(_upgrade(made))
        connection = psycopg2.connect(made)
        with connection, connection.cursor() as there:
            there.execute("select folded('ÄPFEL'), lower('ÄPFEL')")
            assert there.fetchone() == ("äpfel", "Äpfel")
        connection.close()
        cursor.execute("drop database plain with (force)")
    admin.close()


async def _upgrade(dsn):
    connection = await Connection.open(dsn, Limits())
    await schema.upgrade(connection)
    connection.close()


async def test_chunks_and_lines(client):
    for number in range(3):
        await client.post("/images", json={"filename": "a", "tags": [f"{number}-{n:02}" for n in range(15)]})
    answer = await client.get("/tags", headers={"Accept": "application/x-ndjson"})
    *lines, totals = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [line["tag"] for line in lines] == [f"{number}-{n:02}" for number in range(3) for n in range(15)]
    assert totals == {"totalTags": 45, "totalChunks": 5}
    assert len(await listed(client, "?limit=25")) == 25


async def test_a_slow_reader_goes_on_where_it_was(serve, pool):
    client = await serve(stream_lease=0.01)
    await pool.query(
        "insert into images (filename, tags) select n, array['tag ' || n] from generate_series(1, 3000) as n"
    )
    for order in ("name", "images"):
        async with client.session.get(client.make_url(f"/tags?order={order}")) as answer:
            text = b""
            while piece := await answer.content.read(3000):
                text += piece
                await asyncio.sleep(0.005)
        *chunks, totals = json.loads(text)
        assert totals["totalTags"] == 3000
        found = [one["tag"] for chunk in chunks for one in chunk]
        assert sorted(found) == sorted(f"tag {n}" for n in range(1, 3001))


async def test_what_is_acknowledged_is_counted(client):
    counts = Counter()
    for _ in range(30):
        given = random.sample("abcdef", random.randint(0, 4))
        await client.post("/images", json={"filename": "x", "tags": given})
        counts.update(given)
        assert dict(await listed(client)) == counts


async def test_every_kind_of_change_is_counted(filled, pool):
    await filled.patch("/images/1", json={"tags": ["red", "new"]})
    await filled.patch("/images/2", json={"filename": "other.jpg"})
    await filled.delete("/images/3")
    await filled.patch("/images?untagged=true", json={"add_tags": ["late"]})
    await filled.post("/tags/rename", json={"tag": "red", "to": "crimson"})
    assert await listed(filled) == [("a%_\\b", 1), ("blue", 1), ("crimson", 3), ("late", 1), ("new", 1)]
    assert await tags.wrong(pool) == {}
    await pool.query("truncate images cascade")
    assert await listed(filled) == []
    assert await tags.count(pool, "") == 0


async def test_images_are_counted_without_looking_at_them(filled, pool):
    await pool.query("insert into tag_changes values ('', 1000), ('red', 100)")
    for query, number in (
        ("", 1005),
        ("?tag=red", 103),
        ("?tags_all=red", 103),
        ("?tags_any=red", 3),
        ("?tag=none", 0),
    ):
        assert await (await filled.get(f"/images/count{query}")).json() == {"totalImages": number}


async def test_counting_brings_the_counts_up_to_date_and_changes_no_answer(filled, pool):
    before = await listed(filled)
    await filled.delete("/images/1")  # `round` is on no image any more
    while await tags.fold(pool, 2):
        pass
    assert not await pool.query("select tag from tag_changes")
    rows = await pool.query("select tag, images from tag_counts order by tag")
    assert [tuple(row) for row in rows] == [("", 4), ("Redwood", 1), ("a%_\\b", 1), ("blue", 2), ("red", 2)]
    await tags.tidy(pool)
    assert await listed(filled) == [("Redwood", 1), ("a%_\\b", 1), ("blue", 2), ("red", 2)] != before


async def test_wrong_counts_are_found_and_repaired_while_images_come(filled, pool):
    await pool.query("insert into tag_changes values ('red', 5), ('ghost', 2)")
    await pool.query("delete from tag_counts")
    assert await tags.wrong(pool) != {}
    writing = asyncio.gather(*(filled.post("/images", json={"filename": "x", "tags": ["red"]}) for _ in range(50)))
    await tags.repair(pool)
    await writing
    assert await tags.wrong(pool) == {}
    assert dict(await listed(filled))["red"] == 53


async def test_two_repairs_at_once_correct_once(pool):
    # So many that the second begins before the first is committed.
    await pool.query("insert into images (filename, tags) select 'x', array['t' || n] from generate_series(1, 20000) n")
    await pool.query("insert into tag_changes values ('t1', 5)")
    await asyncio.gather(tags.repair(pool), tags.repair(pool))
    assert await tags.wrong(pool) == {}


async def _change(client, seed):
    chance = random.Random(seed)
    for _ in range(60):
        given = chance.sample("abcdefgh", chance.randint(0, 5))
        image_id = chance.randint(1, 60)
        match chance.randint(0, 6):
            case 0 | 1 | 2:
                await client.post("/images", json={"filename": "x", "tags": given})
            case 3:
                await client.patch(f"/images/{image_id}", json={"tags": given})
            case 4:
                await client.patch(f"/images/{image_id}", json={"add_tags": given})
            case 5:
                await client.delete(f"/images/{image_id}")
            case _:
                await client.patch("/images?tag=a", json={"add_tags": ["b"], "remove_tags": [chance.choice("cd")]})


async def test_counts_are_exact_while_many_change_images_at_once(serve, dsn, pool, monkeypatch):
    """Eight clients, a counting that hardly rests, and sessions that are lost now and then."""
    monkeypatch.setattr("kt_images.counting.INTERVAL", 0.005)
    monkeypatch.setattr("kt_images.counting.STEP", 7)
    client = await serve(postgres_dsn=f"{dsn} application_name=counted")
    ended = asyncio.Event()

    async def watch():
        while not ended.is_set():
            assert await tags.wrong(pool) == {}
            await asyncio.sleep(0.01)

    async def kill():
        while not ended.is_set():
            await asyncio.sleep(0.2)
            await pool.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'counted' "
                "order by random() limit 1"
            )

    others = asyncio.gather(watch(), kill())
    await asyncio.gather(*(_change(client, seed) for seed in range(8)))
    ended.set()
    await others
    truth = {row.tag: row.images for row in await pool.query(TRUTH)}
    assert dict(await listed(client)) == truth


async def test_a_prefix_is_found_by_the_index(pool, dsn):
    await pool.query(
        "insert into images (filename, tags) select n, array['tag ' || n] from generate_series(1, 20000) as n"
    )
    while await tags.fold(pool, 50_000):
        pass
    await pool.query("analyze tag_counts")
    query = tags.TagQuery(wanted=tags.TagSelection(prefix="tag 77", limit=10))
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("explain " + query.sql, query.parameters)
        plan = "\n".join(line for (line,) in cursor)
    connection.close()
    assert "tag_counts_folded" in plan, plan


MANY = """
    insert into images (filename, tags)
    select 'x', array(select repeat('x', 80) || n * 50 + m from generate_series(1, 50) m) from generate_series(0, 599) n
"""


async def test_tags_by_their_images_are_of_one_moment_and_hold_no_connection_for_a_slow_reader(serve, pool):
    await pool.query(MANY)
    client = await serve(stream_pool_size=1, stream_lease=0.01, chunk_size=1000)
    async with client.session.get(client.make_url("/tags?order=images")) as answer:
        beginning = await answer.content.read(10)
        await asyncio.sleep(0.1)
        assert len(await listed(client, "?limit=1&order=images")) == 1  # on the only connection
        await pool.query("update images set tags = tags[1:25] || '{new}'")
        assert len(await listed(client, "?order=images")) == 15_001
        *chunks, totals = json.loads(beginning + await answer.read())
    tags_of_then = [tag["tag"] for chunk in chunks for tag in chunk]
    assert totals == {"totalTags": 30_000, "totalChunks": 30}
    assert tags_of_then == sorted(set(tags_of_then))


async def test_no_room_for_a_long_list_of_one_moment_is_an_error_with_a_status(serve, pool, monkeypatch):
    await pool.query(MANY)
    client = await serve(chunk_size=1000)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    answer = await client.get("/tags?order=images")
    assert (answer.status, "limit" in (await answer.json())["error"]) == (503, True)
    assert len(await listed(client, "?order=images&limit=10")) == 10
