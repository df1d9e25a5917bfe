"""Crowds: what many clients cost at once, and that the others are served meanwhile."""

import asyncio
import contextlib
import itertools
import statistics
import subprocess
import sys
import time
from collections import Counter
from io import BytesIO

import aiohttp
import psutil
import pytest

from hostile_pictures import HOSTILE
from pictures import drawn

CROWD = 1000
MEGABYTE = 2**20


async def stalled_upload(host, port, content):
    """Send most of an upload, then nothing more; give the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    writer.write(
        b"POST /images/1/attachment/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
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
        assert p99 < (0.5 if thorough else 2)
        async with asyncio.timeout(10):
            while process.num_fds() > 60:
                await asyncio.sleep(0.1)
        assert psutil.pid_exists(process.pid)


PICTURE = drawn("JPEG", (400, 300))


class Mixed:
    """Clients that do a bit of everything, and what they are answered."""

    def __init__(self, url):
        self._url, self.answers, self.slowest = url, Counter(), 0.0
        self.calls = {
            "health": lambda session: session.get("/healthz"),
            "create": lambda session: session.post("/images", json={"filename": "x"}),
            "list": lambda session: session.get("/images?limit=100"),
            "read": lambda session: session.get("/images/1"),
            "upload": lambda session: session.post("/images/upload", data=form()),
            "attach": lambda session: session.post("/images/1/attachment/x", data=form()),
            "media": lambda session: session.get("/media/1/x"),
            "thumbnail": lambda session: session.get("/media/1/x?width=160"),
        }

    async def call(self, session, name):
        """Return the status, or the name of the error when the connection is refused or broken."""
        try:
            async with self.calls[name](session) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, OSError) as error:
            return type(error).__name__

    async def run(self, number, until):
        for name in itertools.islice(itertools.cycle(self.calls), number % len(self.calls), None):
            if (started := time.monotonic()) > until:
                return
            connector = aiohttp.TCPConnector(force_close=number % 2 == 0)
            async with aiohttp.ClientSession(self._url, connector=connector) as session:
                self.answers[await self.call(session, name)] += 1
            self.slowest = max(self.slowest, time.monotonic() - started)


def form(content=PICTURE):
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(content), filename="x.jpg")
    return form


def used(process):
    """Return the seconds of processor time that the process took so far."""
    return sum(process.cpu_times()[:2])


@pytest.mark.parametrize("descriptors", [64, 256])
async def test_more_clients_than_descriptors_are_refused_and_nothing_else_happens(
    folder, serving, thorough, descriptors
):
    home = folder / f"descriptors-{descriptors}"
    home.mkdir()
    with serving(home, "--database_dir", str(home / "db"), descriptors=descriptors) as (process, url):
        host, port = url.removeprefix("http://").split(":")
        crowd, postmaster = Mixed(url), next(one for one in process.children() if "postgres" in one.name())
        async with aiohttp.ClientSession(url) as session:
            for name in crowd.calls:
                if name != "list":
                    assert await crowd.call(session, name) in {200, 201, 404}
        seconds = 60 if thorough else 4
        await asyncio.gather(*(crowd.run(number, time.monotonic() + seconds) for number in range(400)))
        print(f"{descriptors} descriptors: {dict(crowd.answers)}, slowest {crowd.slowest:.1f} s", end="")

        started = time.monotonic()
        async with aiohttp.ClientSession(url) as session:
            for name in crowd.calls:
                assert await crowd.call(session, name) in {200, 201}, name
        assert time.monotonic() - started < 10

        silent, before = [], used(process)
        with contextlib.suppress(ConnectionError):
            silent += [await asyncio.open_connection(host, port) for _ in range(400)]
        await asyncio.sleep(2)
        assert used(process) - before < 1
        for _, writer in silent:
            writer.close()
        assert postmaster.is_running()

    broken = {
        "ServerDisconnectedError",
        "ClientOSError",
        "ClientPayloadError",
        "ClientConnectorError",
        "ConnectionResetError",
    }
    assert set(crowd.answers) <= {200, 201, 503} | broken
    assert crowd.answers[200] > 100
    log = (home / "log").read_text()
    assert "Traceback" not in log
    assert len(log.splitlines()) <= 3 * (seconds + 10)
    assert crowd.slowest < 20


async def test_sigterm_beside_pictures_that_take_long_ends_within_the_grace_period(dsn, tmp_path, serving, thorough):
    grace, bomb = 2, HOSTILE["60 MB of EXIF"]()
    with serving(tmp_path, "--postgres_dsn", dsn, "--grace_period", str(grace)) as (process, url):
        async with aiohttp.ClientSession(url) as session:

            async def upload(content):
                async with session.post("/images/upload", data=form(content)) as answer:
                    await answer.read()
                    return answer.status

            assert await upload(PICTURE) == 201
            bombs = [asyncio.create_task(upload(bomb)) for _ in range(6)]
            await asyncio.sleep(3)
            honest = [asyncio.create_task(upload(PICTURE)) for _ in range(4)]
            await asyncio.sleep(0.3)
            assert not all(task.done() for task in bombs)
            started = time.monotonic()
            process.terminate()
            await asyncio.to_thread(process.wait)
            took = time.monotonic() - started
            answers = Counter(await asyncio.gather(*bombs)), Counter(await asyncio.gather(*honest))
    print(f"{took:.1f} s, {answers}", end="")
    assert took < grace + (2 if thorough else 15)
    # What the end of the service interrupts is nobody's fault.
    assert set(answers[0]) <= {413, 503}
    assert set(answers[1]) <= {201, 503}


# In a process of its own: the event loop of a test with thousands of clients is busy itself.
WATCH = """
import http.client, sys, time
connection = http.client.HTTPConnection(*sys.argv[1:])
while True:
    started = time.monotonic()
    connection.request("GET", "/healthz")
    with connection.getresponse() as answer:
        assert answer.status == 200 and answer.read()
    print(time.monotonic() - started, flush=True)
    time.sleep(0.02)
"""


@contextlib.contextmanager
def watching(host, port):
    """Ask for /healthz again and again; give the seconds that each answer took, which are there at the end."""
    health = []
    command = [sys.executable, "-c", WATCH, host, port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        yield health
        assert watch.poll() is None
        watch.kill()
        health += [float(line) for line in watch.stdout if line.endswith("\n")]


async def test_a_crowd_that_never_sends_a_whole_head_is_let_go_in_time_and_holds_up_nobody(service, thorough):
    process, url = service
    host, port = url.removeprefix("http://").split(":")
    count, head = 10_000 if thorough else 500, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100
    lived = []

    async def linger(number):
        """Say nothing, or a byte a second; note how long the service bears it."""
        reader, writer = await asyncio.open_connection(host, port)
        started = time.monotonic()
        closing = asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            for byte in head:
                if number % 2:
                    writer.write(bytes([byte]))
                if (await asyncio.wait([closing], timeout=1))[0]:
                    break
        lived.append(time.monotonic() - started)
        with contextlib.suppress(ConnectionError):
            assert await closing == b""
        writer.close()

    rest, crowd = process.memory_info().rss, []
    with watching(host, port) as health:
        for number in range(count):
            crowd.append(asyncio.create_task(linger(number)))
            if number % 50 == 0:
                await asyncio.sleep(0.02)
        more, most = 0, 0
        while not all(task.done() for task in crowd):
            more, most = max(more, process.memory_info().rss - rest), max(most, process.num_fds())
            await asyncio.sleep(0.2)
        await asyncio.gather(*crowd)
    p99 = statistics.quantiles(health, n=100)[98]
    print(
        f"{count} sockets, {most} open at once, closed after {min(lived):.1f} to {max(lived):.1f} s: {more / MEGABYTE:.0f} MB more, "
        f"/healthz p99 {1000 * p99:.0f} ms of {len(health)}",
        end="",
    )
    assert most > count * 0.9
    assert min(lived) > 9
    assert max(lived) < (15 if thorough else 30)
    assert more < 50 * MEGABYTE + count * 30 * 1024
    assert p99 < (0.1 if thorough else 1)
    assert process.num_fds() < 60


async def test_an_upload_waits_for_few_of_those_that_another_client_has_sent(service, thorough):
    _, url = service
    bomb, count = HOSTILE["a million private chunks"](), 50 if thorough else 8

    def client(address):
        return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0, local_addr=(address, 0)))

    async def upload(session, content):
        async with session.post("/images/upload", data=form(content)) as answer:
            await answer.read()
            return answer.status

    async with client("127.0.0.1") as hostile, client("127.0.0.2") as honest:
        assert await upload(honest, PICTURE) == 201
        started = time.monotonic()
        bombs = [asyncio.create_task(upload(hostile, bomb)) for _ in range(count)]
        await asyncio.sleep(3)
        waits = []
        while not any(task.done() for task in bombs) or len(waits) < 3:
            waiting = time.monotonic()
            assert await upload(honest, PICTURE) == 201
            waits.append(time.monotonic() - waiting)
        unfinished = sum(not task.done() for task in bombs)
        answers = Counter(await asyncio.gather(*bombs))
        took = time.monotonic() - started
    print(f"{count} bombs took {took:.0f} s: {dict(answers)}; uploads beside them {max(waits):.1f} s at most", end="")
    assert unfinished > count // 3
    assert max(waits) < took / 2
