"""Below aiohttp: limits on what a slow client costs, and files straight from the disk to the socket."""

import asyncio
import os
import socket

from aiohttp import web

from kt_images.errors import DamagedStoreError

# A larger one would only fill with bytes that a slow client is not ready for.
SEND_BUFFER = 64 * 1024

# Bytes of a file to send at once: sendfile may wait for the disk, and the event loop waits with it.
AT_ONCE = 2**20
# Seconds between two looks at whether the head of an answer is sent.
MOMENT = 0.001


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


async def send_file(request: web.Request, file: int, part: range) -> None:
    """Send a part of the file, open under this descriptor, as the body of an answer whose head is already written.

    It uses sendfile(2), which uvloop lacks, on a duplicate of the socket's descriptor, as the loop lets nobody else
    wait for the original. Raises ConnectionError when the client leaves, DamagedStoreError when the file is truncated.
    """
    transport = await _transport_after_head(request)
    target = os.dup(transport.get_extra_info("socket").fileno())
    try:
        await _sendfile(target, file, part)
    finally:
        os.close(target)


async def _transport_after_head(request: web.Request) -> asyncio.Transport:
    transport = request.transport
    while transport and not transport.is_closing() and transport.get_write_buffer_size():  # noqa: ASYNC110 (no event)
        await asyncio.sleep(MOMENT)
    if not transport or transport.is_closing():
        raise ConnectionResetError
    return transport


async def _sendfile(target: int, source: int, part: range) -> None:
    start = part.start
    while start < part.stop:
        try:
            sent = os.sendfile(target, source, start, min(AT_ONCE, part.stop - start))
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
