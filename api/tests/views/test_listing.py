"""The list: its filters, its form, and its end, which proves that it is whole."""

import asyncio
import json
import os
import random
import socket
import struct
from pathlib import Path

import pytest

from kt_images.views import app_keys

# `make faults` asks for more.
ROUNDS = int(os.environ.get("KT_TEST_ROUNDS", "3"))

IMAGES = [
    ["red", "round"],
    ["red"],
    ["blue", "round", "small"],
    [],
    ["blue", "red"],
]


@pytest.fixture
async def filled(client):
    for number, tags in enumerate(IMAGES, 1):
        await client.post("/images", json={"filename": f"{number}.jpg", "tags": tags})
    return client


async def listed(client, query=""):
    """Return the ids, after a look at the list's form."""
    answer = await client.get(f"/images{query}")
    assert answer.status == 200, await answer.text()
    *chunks, totals = await answer.json()
    images = [image for chunk in chunks for image in chunk]
    assert totals == {"totalImages": len(images), "totalChunks": len(chunks)}
    assert all(set(image) == {"image_id", "filename", "tags"} for image in images)
    ids = [image["image_id"] for image in images]
    assert ids == sorted(ids, reverse="newest" in query)
    _, _, parameters = query.partition("?")
    filters = "&".join(one for one in parameters.split("&") if not one.startswith(("limit", "order")))
    counted = await (await client.get(f"/images/count?{filters}")).json()
    assert counted == {"totalImages": len(ids)} or "limit" in query
    return ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("?tag=red", [1, 2, 5]),
        ("?tag=red&tag=round", [1]),
        ("?tags_all=red", [1, 2, 5]),
        ("?tags_all=red&tags_all=round", [1]),
        ("?tag=blue&tags_all=red", [5]),
        ("?tags_any=small", [3]),
        ("?tags_any=small&tags_any=red", [1, 2, 3, 5]),
        ("?tags_none=red", [3, 4]),
        ("?tags_none=red&tags_none=blue", [4]),
        ("?tags_any=red&tags_any=blue&tags_none=round", [2, 5]),
        ("?tag=round&tags_any=red&tags_none=small", [1]),
        ("?tag=Red", []),
        ("?tag=%20red%20", [1, 2, 5]),
        ("?tag=re", []),
        ("?after=0", [1, 2, 3, 4, 5]),
        ("?after=3", [4, 5]),
        ("?after=9223372036854775807", []),
        ("?before=3", [1, 2]),
        ("?before=1", []),
        ("?after=1&before=4", [2, 3]),
        ("?before=9223372036854775807", [1, 2, 3, 4, 5]),
        ("?untagged=true", [4]),
        ("?untagged=true&tag=red", []),
        ("?order=oldest", [1, 2, 3, 4, 5]),
        ("?order=newest", [5, 4, 3, 2, 1]),
        ("?order=newest&limit=2", [5, 4]),
        ("?order=newest&limit=2&before=4", [3, 2]),
        ("?order=newest&tag=red&after=1", [5, 2]),
        ("?limit=2", [1, 2]),
        ("?limit=9223372036854775807", [1, 2, 3, 4, 5]),
        ("?after=1&limit=2&tag=red", [2, 5]),
    ],
)
async def test_a_list_gives_the_images_that_every_filter_allows(filled, query, ids):
    assert await listed(filled, query) == ids


@pytest.mark.parametrize(
    "query",
    [
        "tagz=red", "Tag=red", "tags_all[]=red", "tag=", "tag=%20", "tags_any=", "tags_none=", "tag=a%00b", "tag=%ff",
        "after=-1", "after=1.0", "after=%201", "after=1_000", "after=x", "after=", "after=9223372036854775808",
        "after=1&after=2", "limit=0", "limit=-1", "limit=x", "limit=%D9%A1", "limit=" + "9" * 4000, "tag=" + "x" * 101,
        "before=0", "before=-1", "before=x", "before=1&before=2", "order=", "order=Newest", "order=random",
        "order=newest&order=oldest", "untagged=", "untagged=false", "untagged=1", "untagged=True",
    ],
)  # fmt: skip
async def test_a_parameter_that_is_not_in_the_contract_is_refused_by_name(filled, query):
    answer = await filled.get(f"/images?{query}")
    body = await answer.json()
    assert answer.status == 400
    assert "%ff" in query or body["details"][0]["in"] == "query string"
    assert "%ff" in query or body["details"][0]["loc"][0] == query.split("=")[0]
    assert not set("<(") & set(body["error"].split(":")[0])
    assert "Input" not in body["error"]  # which is pydantic's word


async def test_an_unknown_parameter_is_answered_with_the_known_ones(filled):
    body = await (await filled.get("/images?tagz=red")).json()
    assert body["error"] == (
        "tagz: This call has no such parameter; it takes tag, tags_all, tags_any, tags_none, untagged, after, before, order, limit"
    )


async def test_chunks_hold_the_configured_number_of_images(filled):
    for _ in range(20):
        await filled.post("/images", json={"filename": "more.jpg"})
    *chunks, totals = await (await filled.get("/images")).json()
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]
    assert totals == {"totalImages": 25, "totalChunks": 3}


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/html, application/x-ndjson;q=0.9"])
async def test_ndjson_has_an_image_per_line_and_the_totals_last(filled, accept):
    answer = await filled.get("/images?tag=red", headers={"Accept": accept})
    assert answer.content_type == "application/x-ndjson"
    text = await answer.text()
    assert text.endswith("\n")
    *images, totals = [json.loads(line) for line in text.splitlines()]
    assert [image["image_id"] for image in images] == [1, 2, 5]
    assert totals == {"totalImages": 3, "totalChunks": 1}


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("application/x-ndjson;q=0, application/json", "application/json"),
        ("APPLICATION/X-NDJSON", "application/x-ndjson"),
        ("application/x-ndjsonfoo", "application/json"),
        ("*/*", "application/json"),
    ],
)
async def test_the_form_is_the_one_that_is_accepted(client, accept, given):
    assert (await client.get("/images", headers={"Accept": accept})).content_type == given


async def test_ndjson_of_nothing_is_the_totals(client):
    answer = await client.get("/images", headers={"Accept": "application/x-ndjson"})
    assert json.loads(await answer.text()) == {"totalImages": 0, "totalChunks": 0}


async def test_a_list_that_fails_in_the_middle_breaks_off_without_totals(filled, pool):
    """The table goes away while a client that has the first chunks isn't reading."""
    await pool.query("insert into images (filename) select repeat('x', 200) from generate_series(1, 100000)")
    async with filled.session.get(filled.make_url("/images")) as answer:
        assert answer.status == 200
        await answer.content.read(10)
        await asyncio.sleep(1.5)  # beyond the lease: no connection holds the table
        await pool.query("alter table images rename to hidden")
        try:
            with pytest.raises(Exception, match="payload is not completed"):
                await asyncio.wait_for(answer.read(), 10)
        finally:
            await pool.query("alter table hidden rename to images")


async def test_a_list_that_fails_at_once_is_an_error_with_a_status(filled, pool):
    await pool.query("alter table images rename to hidden")
    try:
        answer = await filled.get("/images")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "load_fixtures" in (await answer.json())["error"]
    finally:
        await pool.query("alter table hidden rename to images")


async def stalled_reader(client):
    """Ask for a list and read only its beginning; give what is left of the connection."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", client.port))
    await loop.sock_sendall(connection, b"GET /images HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await loop.sock_recv(connection, 100)).startswith(b"HTTP/1.1 200")
    return connection


FILL = "insert into images (filename, tags) select repeat('x', 200), '{a,b}' from generate_series(1, 20000)"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux watches over stalled connections")
async def test_a_reader_that_stops_but_stays_is_let_go(serve, pool):
    await pool.query(FILL)
    client = await serve(send_timeout=1)
    with await stalled_reader(client) as connection:
        streams = client.app[app_keys.STREAMS]
        assert streams._value == 999
        async with asyncio.timeout(20):
            while streams._value < 1000:
                await asyncio.sleep(0.1)
        with pytest.raises(OSError, match=r"reset|timed out"):
            while connection.recv(2**20):
                pass


async def test_more_lists_than_the_cap_are_turned_away_with_an_answer(serve, pool):
    await pool.query(FILL)
    client = await serve(max_streams=1)
    with await stalled_reader(client):
        answer = await client.get("/images")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    async with asyncio.timeout(5):
        while (await client.get("/images?limit=1")).status != 200:
            await asyncio.sleep(0.05)


async def test_readers_that_do_not_read_hold_up_no_writes_and_no_other_lists(serve, pool):
    await pool.query(FILL)
    client = await serve(stream_pool_size=2, pool_size=2)
    readers = [await stalled_reader(client) for _ in range(30)]
    try:
        for _ in range(20):
            assert (await client.post("/images", json={"filename": "a"})).status == 201
        assert await listed(client, "?after=20000&limit=20") == list(range(20001, 20021))
    finally:
        for reader in readers:
            reader.close()


async def test_requests_cut_off_at_random_moments_leave_nothing_behind(serve, pool):
    """`make faults` sends 10,000 of them."""
    await pool.query(FILL)
    client = await serve()
    loop, rolls = asyncio.get_running_loop(), random.Random(1)
    requests = (b"GET /images", b"GET /images?tag=a&limit=5000", b"GET /images/1", b"PATCH /images/2", b"GET /readyz")

    async def cut_off():
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends RST
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", client.port))
            body = b"\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n"
            await loop.sock_sendall(connection, rolls.choice(requests) + b" HTTP/1.1" + body + b'{"add_tags":["c"]}')
            await asyncio.sleep(rolls.random() * 0.05)

    def left():
        backends = "select count(*) as n from pg_stat_activity where application_name = 'kt-images'"
        return pool.query(backends)

    await client.get("/images?limit=1")
    primary = client.app[app_keys.DATABASE].primary
    tasks, descriptors = len(asyncio.all_tasks()), len(list(Path("/dev/fd").iterdir()))
    for _ in range(4 * ROUNDS):
        await asyncio.gather(*(cut_off() for _ in range(50)))
    async with asyncio.timeout(5):
        while (
            len(asyncio.all_tasks()) > tasks
            or client.app[app_keys.STREAMS]._value < 1000
            or len(list(Path("/dev/fd").iterdir())) > descriptors + 16
            or (await left())[0].n > 20
            or min(pool._leases._value for pool in (primary.statements, primary.streams)) < 8
        ):
            await asyncio.sleep(0.05)


async def test_readers_that_leave_are_forgotten(serve, pool):
    await pool.query(FILL)
    client = await serve()
    before = len(asyncio.all_tasks())
    for _ in range(50):
        (await stalled_reader(client)).close()
    async with asyncio.timeout(5):
        while client.app[app_keys.STREAMS]._value < 1000 or len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.05)
