"""Connections: how long one may take to send a request, and how many there may be."""

import asyncio
import contextlib
import json
import resource
import time

import pytest

from kt_images.http import protocol


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)


async def connect(client):
    return await asyncio.open_connection(client.host, client.port)


async def ended(reader):
    """Wait for the end of the connection; return what came before."""
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 5)
    return b""


@pytest.mark.parametrize("start", [b"", b"GET /healthz HTTP/1.1\r\n"])
async def test_who_sends_no_request_is_let_go(hurried, client, start):
    reader, writer = await connect(client)
    writer.write(start)
    assert await ended(reader) == b""
    writer.close()


async def test_who_dribbles_a_head_is_let_go_however_busy_he_is(hurried, client):
    reader, writer = await connect(client)
    started = time.monotonic()

    async def dribble():
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

    dribbling = asyncio.create_task(dribble())
    await ended(reader)
    assert time.monotonic() - started < 10  # to dribble all of it takes twice as long
    dribbling.cancel()
    await asyncio.wait([dribbling])
    writer.close()


async def test_a_second_head_has_its_own_time(hurried, client):
    reader, writer = await connect(client)
    for _ in range(3):
        await asyncio.sleep(0.05)
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        await asyncio.sleep(0.1)
        writer.write(b"Host: localhost\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(len(b'{"status":"ok"}'))
        await asyncio.sleep(0.4)  # idle between two requests is no fault
    writer.write(b"GET /heal")
    assert await ended(reader) == b""
    writer.close()


async def test_a_slow_body_is_none_of_its_business(hurried, client):
    body = json.dumps({"filename": "a"}).encode()
    reader, writer = await connect(client)
    writer.write(
        b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    for byte in body:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 201")
    writer.close()


async def test_a_connection_too_many_is_a_503_and_the_others_are_served(client, monkeypatch, caplog):
    assert (await client.get("/healthz")).status == 200
    monkeypatch.setattr(protocol, "RESERVED", 1)
    limit = protocol.Protocol._open + 5 + protocol.RESERVED
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    crowd = [await connect(client) for _ in range(20)]
    refused = await asyncio.gather(*(ended(reader) for reader, _ in crowd[5:]))
    assert len(refused) == 15
    for answer in refused:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in head
        assert set(json.loads(body)) == {"error"}
    assert (await client.get("/healthz")).status == 200
    assert len(caplog.messages) == 1
    for _, writer in crowd:
        writer.close()
    async with asyncio.timeout(5):
        while protocol.Protocol._open > limit - protocol.RESERVED - 5:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "content_type", "start", "rest"),
    [
        ("/images", "application/json", b'5\r\n{"fil\r\n', b"zz\r\n"),
        ("/images", "application/json", b'5\r\n{"fil', b"XX\r\n"),
        ("/images/upload", "multipart/form-data; boundary=b", b"5\r\n--b\r\n\r\n", b"zz\r\n"),
    ],
)
async def test_a_body_whose_framing_breaks_is_refused_at_once(client, caplog, url, content_type, start, rest):
    reader, writer = await connect(client)
    head = (
        f"POST {url} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode() + start)
    await asyncio.sleep(0.1)
    writer.write(rest)
    answer = await ended(reader)
    assert answer.count(b"HTTP/1.") == 1
    assert answer.split()[1] == b"400"
    assert caplog.messages == []
    writer.close()
