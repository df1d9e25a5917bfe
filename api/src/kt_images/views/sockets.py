"""What a slow client may cost."""

import socket

from aiohttp import web

# More would only fill with bytes that a slow client has not asked for yet.
SEND_BUFFER = 64 * 1024


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
