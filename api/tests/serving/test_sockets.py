"""Places that are bound once, for one process or several."""

import contextlib
import socket

import pytest

from kt_images.errors import UnavailableError
from kt_images.serving import sockets


@contextlib.contextmanager
def bound(*arguments):
    places = sockets.bind(*arguments)
    try:
        yield places
    finally:
        for place in places:
            for one in place:
                one.close()


def test_places_share_a_port_and_the_connections(monkeypatch):
    with bound("127.0.0.1", 0, 4) as places:
        (address,) = {one.getsockname() for place in places for one in place}
        for (one,) in places:
            one.listen(128)
            one.setblocking(False)
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(socket.create_connection(address))
            counts = []
            for (one,) in places:
                counts.append(0)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        one.accept()[0].close()
                        counts[-1] += 1
    assert sum(counts) == 100
    assert min(counts) > 5, counts


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("other", [1, 2])
def test_no_other_service_can_share_the_port(number, other):
    with bound("127.0.0.1", 0, number) as places:
        for (one,) in places:
            one.listen()
        port = places[0][0].getsockname()[1]
        with pytest.raises(UnavailableError, match=f"Port {port} is in use"):
            sockets.bind("127.0.0.1", port, other)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machine_s_is_one_sentence(host):
    with pytest.raises(UnavailableError, match=f"{host}:0 is not available"):
        sockets.bind(host, 0)


def test_all_addresses_of_a_name_get_the_same_port(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", 0)) for n in (1, 2)]
    found.append((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)))  # which this machine lacks
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with bound("a-name", 0, 2) as places:
        addresses = [[one.getsockname() for one in place] for place in places]
    port = addresses[0][0][1]
    assert addresses == [[("127.0.0.1", port), ("127.0.0.2", port)]] * 2
