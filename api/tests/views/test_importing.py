"""Imports: every line is stored in its order or refused by its number, and the totals prove it."""

import asyncio
import json
import random

import psutil
import pytest

from kt_images.views import app_keys, importing

NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(*images):
    return b"".join(json.dumps(image).encode() + b"\n" for image in images)


async def sent(client, body, query=""):
    answer = await client.post(f"/images{query}", data=body, headers=NDJSON)
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/x-ndjson"
    return [json.loads(line) for line in (await answer.text()).splitlines()]


async def stored(client):
    *chunks, _ = await (await client.get("/images")).json()
    return [(image["filename"], image["tags"]) for chunk in chunks for image in chunk]


async def test_each_line_becomes_an_image_in_its_order(client):
    body = lines({"filename": "a", "tags": ["x", " y ", "x"]}, {"filename": "b"}, {"filename": "ä", "tags": []})
    answers = await sent(client, body)
    assert answers == [
        {"lines": 3, "stored": 3, "failed": 0},
        {"totalLines": 3, "totalImages": 3, "totalErrors": 0},
    ]
    assert await stored(client) == [("a", ["x", "y"]), ("b", []), ("ä", [])]


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"", 0), (b"\n\n", 0), (b'{"filename": "a"}', 1), (b'\n{"filename": "a"}\r\n\n{"filename":"b"}\r\n', 2)],
)
async def test_line_ends_are_taken_as_they_come(client, body, count):
    answers = await sent(client, body)
    assert answers[-1]["totalImages"] == count
    assert answers[-1]["totalLines"] == len(body.splitlines())


async def test_many_lines_are_stored_in_batches_and_in_their_order(client):
    names = [f"{n}.jpg" for n in range(3500)]
    answers = await sent(client, lines(*({"filename": name, "tags": [name]} for name in names)))
    assert [one.get("lines") for one in answers[:-1]] == [1000, 2000, 3000, 3500]
    assert answers[-1] == {"totalLines": 3500, "totalImages": 3500, "totalErrors": 0}
    assert await stored(client) == [(name, [name]) for name in names]


REFUSED = [
    b"{", b"[]", b"1", b"null", b'"a"', b'{"filename": ""}', b'{"filename": "a/b"}', b'{"filename": "a", "tag": "b"}', b'{"tags": ["a"]}',
    b'{"filename": "a", "tags": [""]}', b'{"filename": "a", "tags": null}', b'{"filename": "\\ud800"}', b'{"filename": "a\\u0000"}', b"\xff",
    b'{"filename": "a"} {"filename": "b"}', b'{"filename": "a"},{"filename": "b"}', b'{"filename": NaN}', b"[" * 100_000,
    b'{"filename": "a", "tags": ["' + b"x" * 101 + b'"]}', json.dumps({"filename": "a", "tags": [str(n) for n in range(65)]}).encode(),
    b'{"filename": "a", "image_id": 1}', b'{"filename": 1' + b"0" * 5000 + b"}",
]  # fmt: skip


async def test_a_line_that_an_image_cannot_be_made_of_is_named_and_the_others_are_stored(client):
    body = b"\n".join(b'{"filename": "good"}\n' + bad for bad in REFUSED)
    answers = await sent(client, body)
    refused = [one for one in answers if "line" in one]
    assert [one["line"] for one in refused] == [2 * n for n in range(1, len(REFUSED) + 1)]
    for one in refused:
        assert set(one) == {"line", "error", "details"}
        assert len(one["error"]) < 200
        assert one["details"][0]["in"] == "body"
    assert answers[-1] == {"totalLines": 2 * len(REFUSED), "totalImages": len(REFUSED), "totalErrors": len(REFUSED)}
    assert await stored(client) == [("good", [])] * len(REFUSED)


async def test_it_stops_at_the_first_error_if_asked_to(client):
    body = lines({"filename": "a"}) + b"{\n" + lines({"filename": "b"}) * 5000
    answers = await sent(client, body, "?on_error=stop")
    assert answers[0]["line"] == 2
    assert answers[-1] == {"totalLines": 2, "totalImages": 1, "totalErrors": 1}
    assert await stored(client) == [("a", [])]


async def test_no_more_than_a_thousand_refusals_are_told(client):
    answers = await sent(client, b"{\n" * 5000 + lines({"filename": "a"}))
    assert len([one for one in answers if "line" in one]) == 1000
    assert answers[-1] == {"totalLines": 5001, "totalImages": 1, "totalErrors": 5000}


async def test_stored_images_are_answered_if_asked_for(client):
    answers = await sent(client, lines({"filename": "a"}, {"filename": "b", "tags": ["c"]}), "?return=images")
    assert answers == [
        {"image_id": 1, "filename": "a", "tags": []},
        {"image_id": 2, "filename": "b", "tags": ["c"]},
        {"lines": 2, "stored": 2, "failed": 0},
        {"totalLines": 2, "totalImages": 2, "totalErrors": 0},
    ]


@pytest.mark.parametrize(
    "query",
    ["?on_error=ignore", "?return=all", "?return=", "?on_error=skip&on_error=stop", "?tag=a", "?return_=images"],
)
async def test_a_parameter_that_is_not_in_the_contract_is_refused(client, query):
    answer = await client.post(f"/images{query}", data=lines({"filename": "a"}), headers=NDJSON)
    assert answer.status == 400
    assert not await stored(client)


async def test_the_parameters_of_an_import_are_none_of_a_single_creation(client):
    assert (await client.post("/images?on_error=stop", json={"filename": "a"})).status == 400


async def test_a_client_that_waits_for_an_answer_gets_it(client):
    """One line at a time, each sent when the one before is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /images?return=images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for number in (1, 2, 3):
        line = lines({"filename": str(number)})
        writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        async with asyncio.timeout(5):
            text = b""
            while b'"stored":%d' % number not in text:
                text += await reader.read(1000)
        assert f'"filename":"{number}"'.encode() in text
    writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(5):
        while b"totalImages" not in text:
            text += await reader.read(1000)
    writer.close()


async def test_a_client_that_sends_everything_before_it_reads_gets_its_answer(client):
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=2**14)
    body = b'{"filename": "x", "tagz": 1}\n' * 30_000 + lines({"filename": "a"}) * 20_000
    writer.write(
        b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n"
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    async with asyncio.timeout(60):
        for start in range(0, len(body), 2**16):
            writer.write(body[start : start + 2**16])
            await writer.drain()
        answer = await reader.read()
    assert b'{"totalLines":50000,"totalImages":20000,"totalErrors":30000}' in answer
    writer.close()


async def test_a_line_without_an_end_takes_no_memory(client):
    process, most = psutil.Process(), 0

    async def endless():
        nonlocal most
        yield lines({"filename": "before"})
        for _ in range(100):
            yield b"x" * 2**20
            most = max(most, process.memory_info().rss)
        yield b"\n" + lines({"filename": "after"})

    before = process.memory_info().rss
    answers = await sent(client, endless())
    assert most - before < 40 * 2**20
    (refused,) = [one for one in answers if "line" in one]
    assert (refused["line"], refused["error"]) == (2, importing.TOO_LONG)
    assert await stored(client) == [("before", []), ("after", [])]


async def test_a_client_that_leaves_has_stored_what_it_was_told(client, pool):
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\n"
    )
    for number in range(2500):
        writer.write(lines({"filename": str(number)}))
    await writer.drain()
    text = b""
    async with asyncio.timeout(10):
        while b'"lines":2000' not in text:
            text += await reader.read(1000)
    writer.transport.abort()
    async with asyncio.timeout(10):
        while client.app[app_keys.IMPORTS]._value < 8:
            await asyncio.sleep(0.02)
    names = [name for name, _ in await stored(client)]
    assert names == [str(number) for number in range(len(names))]
    assert len(names) >= 2000


async def test_a_body_that_stalls_is_given_up(serve):
    client = await serve(body_timeout=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n"
    )
    async with asyncio.timeout(5):
        answer = await reader.read(1000)
    assert b" 408 " in answer
    writer.close()


async def test_lost_sessions_neither_lose_nor_repeat_a_line(client, pool):
    ended = asyncio.Event()

    async def kill():
        while not ended.is_set():
            await pool.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'xact|recordset|begin|commit' "
                "and pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
            await asyncio.sleep(random.random() / 10)

    names = [str(number) for number in range(30_000)]
    killing = None

    async def body():
        nonlocal killing
        for start in range(0, len(names), 500):
            yield lines(*({"filename": name} for name in names[start : start + 500]))
            if start == 5000:
                while not await pool.query("select image_id from images limit 1"):
                    await asyncio.sleep(0.01)  # before the first batch, the client learns of it at once
                killing = asyncio.create_task(kill())

    try:
        answers = await sent(client, body())
    finally:
        ended.set()
        await asyncio.gather(killing, return_exceptions=True)
    assert answers[-1]["totalImages"] == len(names)
    assert [name for name, _ in await stored(client)] == names


async def test_a_database_that_is_away_at_the_start_is_a_503(serve, dsn):
    client = await serve(postgres_dsn="host=127.0.0.1 port=1 dbname=x user=x")
    answer = await client.post("/images", data=lines({"filename": "a"}), headers=NDJSON)
    assert answer.status == 503


async def test_no_more_than_some_at_once(client):
    for _ in range(8):
        await client.app[app_keys.IMPORTS].acquire()
    answer = await client.post("/images", data=lines({"filename": "a"}), headers=NDJSON)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
