"""The address of the service, as users write it."""

import ipaddress

from yarl import URL

from kt_images.client.errors import InvalidAddressError


def parse(server: str) -> URL:
    """Return the address, which may lack `http://`, without a slash at its end. Raises InvalidAddressError."""
    text = server.rstrip("/") if "://" in server else f"http://{server.rstrip('/')}"
    try:
        url = URL(text)
        if url.scheme in {"http", "https"} and url.host and not url.query_string and not url.fragment:
            return URL(str(url).rstrip("/"))
    except ValueError:
        pass
    raise InvalidAddressError("The address of the service must look like http://localhost:8080")


def shown(url: URL) -> str:
    """Return the address without the name and password that may be in it."""
    return str(url.with_user(None)).rstrip("/")


def is_overheard(url: URL) -> bool:
    """Return whether others on the network can read what is sent: plain HTTP to another machine."""
    host = url.host or ""
    if url.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
