"""Crowds: what many clients cost at once, and that the others are served meanwhile."""

import asyncio
import contextlib
import statistics
import time

import aiohttp
import psutil

CROWD = 1000
MEGABYTE = 2**20


async def stalled_upload(host, port, content):
    """Send most of an upload, then nothing more; give the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    writer.write(
        b"POST /images/1/attachment/x HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        + f"Content-Length: {2 * MEGABYTE}\r\n\r\n".encode() + head + content
    )  # fmt: skip
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    return reader, writer


async def test_a_crowd_of_uploads_takes_little_memory_and_holds_up_nobody(service, thorough):
    process, url = service
    host, port = url.removeprefix("http://").split(":")
    count = CROWD if thorough else 300
    async with aiohttp.ClientSession(url) as session:
        assert (await session.post("/images", json={"filename": "x"})).status == 201
        rest = process.memory_info().rss
        crowd = await asyncio.gather(*(stalled_upload(host, port, bytes(MEGABYTE - 1)) for _ in range(count)))
        health = []
        for _ in range(50):
            started = time.monotonic()
            assert (await session.get("/healthz")).status == 200
            health.append(time.monotonic() - started)
            await asyncio.sleep(0.02)
        more = process.memory_info().rss - rest
        refused = 0
        for reader, writer in crowd:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.005):
                    refused += b" 503 " in await reader.readline()
            writer.close()
        p99 = statistics.quantiles(health, n=100)[98]
        print(
            f"{count} uploads, {refused} refused: {more / MEGABYTE:.0f} MB more, /healthz p99 {1000 * p99:.0f} ms",
            end="",
        )
        assert refused >= count - 100 - 20
        assert more < 300 * MEGABYTE
        assert p99 < 0.5
        async with asyncio.timeout(10):
            while process.num_fds() > 60:
                await asyncio.sleep(0.1)
        assert psutil.pid_exists(process.pid)
