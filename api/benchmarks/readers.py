"""Slow readers: 500 lists that are read at 1 KB/s, and writes beside them."""

import asyncio
import json
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from benchmarks import client, contestants, data
from benchmarks.rows import Row, Run

READERS = 500
BYTES_A_SECOND = 1024
RECEIVE_BUFFER = 4096  # what the kernel reads ahead is not read at 1 KB/s
WRITES_A_SECOND = 40
SECONDS = 20
LATE_SECONDS = 30.0  # who is not answered by then is not served
PERCENTILE = 0.99
DESCRIPTORS = 4 * READERS


@dataclass(frozen=True)
class Seen:
    """What the clients saw in a round: each write's milliseconds, None where it was not served; readers served."""

    writes: list[float | None]
    readers: int

    @property
    def written(self) -> float:
        return 100 * sum(write is not None for write in self.writes) / len(self.writes)

    @property
    def slowest(self) -> float:
        """The 99th percentile; one that was not served counts as late."""
        ordered = sorted(LATE_SECONDS * 1000 if write is None else write for write in self.writes)
        return ordered[int(PERCENTILE * len(ordered))]


def slow(run: Run) -> Iterator[Row]:
    """The writes begin together with the rush of readers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, DESCRIPTORS)), hard))
    dsn = data.database(run.server, run.images)
    rounds = []
    try:
        for _ in range(run.rounds):
            with contestants.service(dsn) as service:
                rounds.append(asyncio.run(_round(service.port)))
    finally:
        data.forget_after(dsn, run.images)
    beside, pace = f"{READERS} readers of the list at 1 KB/s", f"{WRITES_A_SECOND} writes per s for {SECONDS} s"
    written, slowest = [seen.written for seen in rounds], [seen.slowest for seen in rounds]
    readers = [100 * seen.readers / READERS for seen in rounds]
    yield Row(f"writes served beside {beside}", pace, 100, "%", written, at_least=True)
    yield Row(f"99th percentile of writes beside {beside}", pace, 50, "ms", slowest)
    yield Row(f"{beside}, being served at the end", pace, 100, "%", readers, at_least=True)


async def _round(port: int) -> Seen:
    being_served: set[int] = set()
    readers = [asyncio.create_task(_read(port, number, being_served)) for number in range(READERS)]
    writes = []
    for number in range(WRITES_A_SECOND * SECONDS):
        writes.append(asyncio.create_task(_write(port, number)))
        await asyncio.sleep(1 / WRITES_A_SECOND)
    seen = Seen(await asyncio.gather(*writes), len(being_served))
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    return seen


async def _read(port: int, number: int, being_served: set[int]) -> None:
    """Read slowly for ever; stand in `being_served` from the first byte of a success on, until the list breaks."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        try:
            await loop.sock_connect(connection, (client.HOST, port))
            await loop.sock_sendall(connection, client.request("/images"))
            for second in count():
                received = await loop.sock_recv(connection, BYTES_A_SECOND)
                if not received or (not second and int(received.split()[1]) != client.OK):
                    break
                being_served.add(number)
                await asyncio.sleep(1)
        except OSError:
            pass
    being_served.discard(number)


async def _write(port: int, number: int) -> float | None:
    """Return the milliseconds that a POST takes on a connection of its own; None if it is not served."""
    body = json.dumps({"filename": f"example_{number}.jpg", "tags": ["example_1", "jpeg", "canon"]}).encode()
    started = time.perf_counter()
    try:
        async with asyncio.timeout(LATE_SECONDS):
            reader, writer = await asyncio.open_connection(client.HOST, port)
            try:
                writer.write(client.request("/images", method="POST", body=body, close=True))
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    served = answer.startswith(b"HTTP/1.1 %d" % client.CREATED)
    return (time.perf_counter() - started) * 1000 if served else None
