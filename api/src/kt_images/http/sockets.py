"""Below aiohttp: limits on what a slow client costs, and files straight from the disk to the socket."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from kt_images.errors import DamagedStoreError

# A larger one would only fill with bytes that a slow client is not ready for.
SEND_BUFFER = 64 * 1024

# Bytes of a file to send at once.
AT_ONCE = 2**20


def keep_little_ready(request: web.Request) -> None:
    """Make the kernel buffer only a little for the client."""
    _set_option(request, socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def break_when_stalled(request: web.Request, seconds: float) -> None:
    """Break the connection when the client acknowledges no byte for this long.

    The kernel does it, as it alone sees acknowledgements; on Linux only (TCP_USER_TIMEOUT, RFC 5482).
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        _set_option(request, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _set_option(request: web.Request, level: int, option: int, value: int) -> None:
    if request.transport and (connection := request.transport.get_extra_info("socket")):
        connection.setsockopt(level, option, value)


async def send_file(request: web.Request, file: int, part: range, fetch: Callable[[range], Awaitable[None]]) -> None:
    """Send a part of the file, open under this descriptor, as the body of an answer whose head is already written.

    `fetch` is asked before each piece to make it ready. It uses sendfile(2), which uvloop lacks, on a duplicate of the
    socket's descriptor, as the loop lets nobody else wait for the original. Raises ConnectionError when the client
    leaves, DamagedStoreError when the file is truncated.
    """
    transport = await _transport_after_head(request)
    target = os.dup(transport.get_extra_info("socket").fileno())
    try:
        for start in range(part.start, part.stop, AT_ONCE):
            piece = part[start - part.start : start - part.start + AT_ONCE]
            await fetch(piece)
            await _sendfile(target, file, piece)
            request.writer.output_size += len(piece)  # what is sent of the answer
    finally:
        os.close(target)


async def _transport_after_head(request: web.Request) -> asyncio.Transport:
    """Return the transport once it has nothing to send any more."""
    transport = request.transport
    if not transport or transport.is_closing():
        raise ConnectionResetError
    transport.set_write_buffer_limits(0)  # what is above the limit is waited for: all of it
    await request.writer.drain()
    if transport.is_closing():
        raise ConnectionResetError
    transport.set_write_buffer_limits()
    return transport


async def _sendfile(target: int, source: int, piece: range) -> None:
    start = piece.start
    while start < piece.stop:
        try:
            sent = os.sendfile(target, source, start, piece.stop - start)
        except BlockingIOError:
            await _writable(target)
        else:
            if not sent:
                raise DamagedStoreError
            start += sent
            await asyncio.sleep(0)  # for the others: a fast client would never let go


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
