"""Who a request is from, for sharing fairly what is scarce."""

import ipaddress

from aiohttp import web
from multidict import istr

from kt_images.base_settings import Networks

# Bits of the network that a provider gives to a customer (RFC 6177), whose addresses are the customer's to choose.
NETWORK = 64

FORWARDED_FOR = istr("X-Forwarded-For")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_of(request: web.Request, trusted: Networks = ()) -> str:
    """Return what stands for the client: its address, of IPv6 its network; behind a proxy, the proxy's.

    A proxy in the `trusted` networks is believed whom it forwards for.
    """
    found = _address(request.remote or "")
    if found is None:  # a Unix socket
        return ""
    named = [name.strip() for line in request.headers.getall(FORWARDED_FOR, []) for name in line.split(",")]
    # Each proxy has added its peer at the end. What stands before an address that is not trusted may be made up.
    while named and any(found in network for network in trusted):
        before = _address(named.pop())
        if before is None:
            break
        found = before
    return str(found) if isinstance(found, ipaddress.IPv4Address) else _network(found)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(address: ipaddress.IPv6Address) -> str:
    return str(ipaddress.ip_network((address.packed[: NETWORK // 8].ljust(16, b"\0"), NETWORK)))
