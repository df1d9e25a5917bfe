"""Below aiohttp: what a slow client may cost, and files from the disk to the socket without a detour."""

import asyncio
import os
import socket

from aiohttp import web

from kt_images.errors import DamagedStoreError

# More would only fill with bytes that a slow client has not asked for yet.
SEND_BUFFER = 64 * 1024

# Of a file, sent at once: the disk may have to be waited for, and the event loop with it.
PIECE = 2**20
# How often to look whether the head of an answer is gone.
MOMENT = 0.001


def keep_little_ready(request: web.Request) -> None:
    """Have the kernel take only a little ahead of the client."""
    _set_option(request, socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def break_when_stalled(request: web.Request, seconds: float) -> None:
    """Have the connection broken when the client takes nothing for so long.

    The kernel watches over it, as it alone knows when a byte was taken; Linux only (TCP_USER_TIMEOUT, RFC 5482).
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        _set_option(request, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _set_option(request: web.Request, level: int, option: int, value: int) -> None:
    if request.transport and (connection := request.transport.get_extra_info("socket")):
        connection.setsockopt(level, option, value)


async def send_file(request: web.Request, file: int, part: range) -> None:
    """Send these bytes of the file, open under this descriptor, as the body of an answer whose head is on its way.

    With sendfile(2), which uvloop has not, on a descriptor of our own: the loop lets nobody else wait for its socket.
    Raises ConnectionError when the client leaves, DamagedStoreError when the file ends too early.
    """
    transport = request.transport
    while transport and not transport.is_closing() and transport.get_write_buffer_size():  # noqa: ASYNC110 (no event)
        await asyncio.sleep(MOMENT)
    if not transport or transport.is_closing():
        raise ConnectionResetError
    target = os.dup(transport.get_extra_info("socket").fileno())
    try:
        start = part.start
        while start < part.stop:
            try:
                sent = os.sendfile(target, file, start, min(PIECE, part.stop - start))
            except BlockingIOError:
                await _writable(target)
            else:
                if not sent:
                    raise DamagedStoreError
                start += sent
                await asyncio.sleep(0)  # others' turn: a fast client would never let go
    finally:
        os.close(target)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
