"""Who a request is from, for sharing fairly what is scarce."""

import ipaddress

from aiohttp import web

# Bits of the network that a provider gives to a customer (RFC 6177), whose addresses are the customer's to choose.
NETWORK = 64


def client_of(request: web.Request) -> str:
    """Return what stands for the client: its address, of IPv6 its network; behind a proxy, the proxy's."""
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:  # a Unix socket
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed[: NETWORK // 8].ljust(16, b"\0"), NETWORK)))
