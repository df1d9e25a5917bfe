"""Plain sockets: a client that costs next to nothing, so that the server is what is measured."""

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

import uvloop

HOST = "127.0.0.1"
OK, CREATED = 200, 201
BUFFER = 1 << 18
NOTICE_SECONDS = 0.1
HEAD_END = b"\r\n\r\n"
TOTAL = re.compile(rb'"totalImages": ?(\d+)')
LONGEST_END = 200  # bytes within which a list's totals stand


def request(path: str, *, method: str = "GET", body: bytes = b"", close: bool = False) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if close:
        lines += ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(port: int, path: str) -> int:
    """Return the status that the server answers a GET with."""
    return answer(port, request(path, close=True))


def answer(port: int, whole: bytes) -> int:
    """Return the status that the server answers the request with."""
    with socket.create_connection((HOST, port)) as connection:
        connection.sendall(whole)
        return int(connection.recv(BUFFER).split()[1])


def read(port: int, path: str) -> float:
    """Read an answer to its end; return the seconds. Raises RuntimeError unless it is a success."""
    with socket.create_connection((HOST, port)) as connection:
        started = time.perf_counter()
        connection.sendall(request(path, close=True))
        _read_head(connection)
        while connection.recv(BUFFER):
            pass
        return time.perf_counter() - started


def read_list(port: int, path: str, expected: int) -> float:
    """Read a list as fast as it comes; return the seconds. Raises RuntimeError unless it is complete."""
    buffer = bytearray(BUFFER)
    with socket.create_connection((HOST, port)) as connection:
        started = time.perf_counter()
        connection.sendall(request(path, close=True))
        tail = _read_head(connection)
        while received := connection.recv_into(buffer):
            tail = (tail + buffer[max(0, received - LONGEST_END) : received])[-LONGEST_END:]
        seconds = time.perf_counter() - started
    if (total := TOTAL.search(tail)) and int(total[1]) == expected:
        return seconds
    raise RuntimeError(f"GET {path} should give {expected} images, and ends with {bytes(tail)!r}")


def first_byte(port: int, path: str) -> float:
    """Return the seconds to the first byte of the answer's body; read no further, and let the server notice."""
    with socket.create_connection((HOST, port)) as connection:
        started = time.perf_counter()
        connection.sendall(request(path, close=True))
        _read_head(connection)
        seconds = time.perf_counter() - started
    time.sleep(NOTICE_SECONDS)
    return seconds


def _read_head(connection: socket.socket) -> bytes:
    """Read to the body's first byte."""
    head = b""
    while not head.partition(HEAD_END)[2]:
        received = connection.recv(BUFFER)
        if not received:
            raise RuntimeError(f"The server hung up after {head!r}")
        head += received
    if int(head.split()[1]) != OK:
        raise RuntimeError(f"The server answers {head!r}")
    return head


def per_second(port: int, requests: Iterable[bytes], expected: int, *, connections: int, seconds: float) -> float:
    """Return how many requests a second the server answers; each connection sends its next one at the answer.

    Raises RuntimeError when an answer has another status than expected.
    """
    return uvloop.run(_per_second(port, itertools.cycle(requests), expected, connections, seconds))


async def _per_second(port: int, requests: Iterator[bytes], expected: int, connections: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    clients = [_Client(requests, b"HTTP/1.1 %d" % expected) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, HOST, port)  # type: ignore[misc]
    started = time.perf_counter()
    for client in clients:
        client.send()
    await asyncio.sleep(seconds)
    answered, passed = sum(client.answered for client in clients), time.perf_counter() - started
    for client in clients:
        await client.stop()
    return answered / passed


class _Client(asyncio.Protocol):
    """A connection that is kept, with one request on its way at a time."""

    def __init__(self, requests: Iterator[bytes], expected: bytes) -> None:
        self._requests, self._expected = requests, expected
        self._received = b""
        self._stopping = False
        self._idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self) -> None:
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(HEAD_END)
        if not end:
            return
        if not head.startswith(self._expected):
            self._fail(f"The server answers {self._received!r}")
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(body) < int(length):
            return
        self.answered += 1
        self._received = b""
        if self._stopping:
            self._idle.set_result(None)
        else:
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"The server hung up: {exc}")

    async def stop(self) -> None:
        """Wait for the answer that is on its way, and hang up."""
        self._stopping = True
        await self._idle
        self._transport.close()

    def _fail(self, sentence: str) -> None:
        if not self._idle.done():
            self._idle.set_exception(RuntimeError(sentence))
