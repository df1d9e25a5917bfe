"""The sockets that are listened on: bound once, before anything else is started.

A place is a socket for each address of the host. With several places, those of an address share its port by
SO_REUSEPORT, and the kernel gives each connection to one of them. One socket for all workers was left: of 64
connections that come at once, one worker took all in half of the trials, as both are woken up and the first is faster.
"""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kt_images.errors import UnavailableError

Place = list[socket.socket]

# Elsewhere SO_REUSEPORT does not spread connections: there all places are the same sockets.
SPREADS = sys.platform == "linux"


def bind(host: str, port: int, number: int = 1) -> list[Place]:
    """Return so many places at the address, bound. Raises UnavailableError if it is taken or is not this machine's."""
    with explained(host, port):
        first = _first(host, port, shared=number > 1 and SPREADS)
        return [first, *([_another(one) for one in first] if SPREADS else first for _ in range(number - 1))]


@contextmanager
def explained(host: str, port: int) -> Iterator[None]:
    """Raise UnavailableError for an address that cannot be bound or listened on."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sentence = f"Port {port} is in use; choose another with --port or KT_IMAGES_PORT"
            raise UnavailableError(sentence) from None
        raise UnavailableError(f"{host}:{port} is not available; choose another --host or --port") from error


def _first(host: str, port: int, *, shared: bool) -> Place:
    """Bind all addresses of the host; others may share them afterwards."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    place: Place = []
    for family, _, _, _, address in dict.fromkeys(found):
        chosen = place[0].getsockname()[1] if place else port  # what port 0 has become
        try:
            place.append(_bound(family, (address[0], chosen, *address[2:])))
        except OSError as error:
            # "localhost" has an IPv6 address where the system has no IPv6.
            if family != socket.AF_INET6 or error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
    if not place:
        raise OSError(errno.EADDRNOTAVAIL, "None of its addresses is available")
    for made in place if shared else ():
        # Only now: with another service that has done so, these would have shared the port.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return place


def _another(one: socket.socket) -> socket.socket:
    return _bound(one.family, one.getsockname(), shared=True)


def _bound(family: int, address: tuple[object, ...], *, shared: bool = False) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made
