"""Bytes are parsed in turns: whatever one client sends, the others have theirs."""

import asyncio
import contextlib
import json
import random
import statistics
import subprocess
import sys
import time

import pytest
import uvloop
from aiohttp.test_utils import TestClient, TestServer

from kt_images.application import create_app
from pictures import drawn

CHUNKED = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
JSON = CHUNKED % (b"/images", b"application/json")
FORM = CHUNKED % (b"/images/upload", b"multipart/form-data; boundary=b")
FILE = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
FLOODERS = 32


def chunk(content, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(content), extension, content)


# In a process of its own, so as not to share the event loop's interpreter.
FLOOD = """
import asyncio, contextlib, sys

async def flood(port, start, block):
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start)
            while True:
                writer.write(block)
                await writer.drain()

async def main(port, count, start, repeated):
    start, repeated = bytes.fromhex(start), bytes.fromhex(repeated)
    block = repeated * (2**20 // len(repeated))
    await asyncio.gather(*(flood(int(port), start, block) for _ in range(int(count))))

asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.contextmanager
def flood(port, start, repeated):
    """Have clients send the same bytes again and again, as fast as they are taken."""
    arguments = [str(port), str(FLOODERS), start.hex(), repeated.hex()]
    with subprocess.Popen([sys.executable, "-c", FLOOD, *arguments], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


async def long_step(seconds):
    """Return how much processor time 95 of 100 rounds of the event loop took at most: no other load counts.

    A single long one may be the collector of garbage, which has all that a run of tests has made to look at.
    """
    steps, ended = [], time.monotonic() + seconds
    while time.monotonic() < ended:
        started = time.thread_time()
        await asyncio.sleep(0)
        steps.append(time.thread_time() - started)
        await asyncio.sleep(0.001)
    return statistics.quantiles(steps, n=20)[-1]


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        (JSON, chunk(b" ")),
        (JSON, chunk(b" " * 16, b";extension")),
        (FORM + chunk(FILE), chunk(b"x")),
        (FORM + chunk(FILE), chunk(b"\r\n")),
    ],
    ids=["1 byte", "16 bytes", "form, 1 byte", "form, line ends"],
)
def test_what_is_short_and_many_holds_up_nobody(settings, start, repeated):
    """uvloop, under which the service runs, reads as long as there is something to read."""

    async def flooded():
        async with TestClient(TestServer(create_app(settings))) as client:
            with flood(client.port, start, repeated):
                worst = await long_step(2)
                assert (await client.get("/healthz")).status == 200
            return worst

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        worst = runner.run(flooded())
    print(f"{1000 * worst:.0f} ms", end=" ")
    assert worst < 0.05


async def test_a_body_in_chunks_of_any_size_arrives_as_it_was_sent(client):
    content = drawn("JPEG") + random.Random(1).randbytes(2_000_000)
    form, pieces, sizes = FILE + content + b"\r\n--b--\r\n", [], random.Random(2)
    while form:
        size = sizes.choice([1, 2, 100, 5000, 70_000])
        pieces.append(chunk(form[:size]))
        form = form[size:]
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(FORM + b"".join(pieces) + chunk(b""))
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 201")
    assert await (await client.get("/media/1/x")).read() == content
    writer.close()


async def test_requests_in_one_piece_are_answered_in_their_order(client):
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    count = 2000
    bodies = [json.dumps({"filename": f"{number}"}).encode() for number in range(count)]
    head = (
        b"PATCH /images/1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    assert (await client.post("/images", json={"filename": "x"})).status == 201
    writer.write(b"".join(head % len(body) + body for body in bodies))
    for body in bodies:
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
        assert json.loads(await reader.readuntil(b"}"))["filename"] == json.loads(body)["filename"]
    writer.close()


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(client):
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(JSON + chunk(b" ") * 50_000)
        await asyncio.sleep(0.01)
        writer.transport.abort()
    await asyncio.sleep(0.5)
    assert await long_step(0.2) < 0.05
    assert (await client.get("/healthz")).status == 200
