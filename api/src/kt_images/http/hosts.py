"""The name by which a request calls the service, in its header Host.

A page can make its own name lead to another address, 127.0.0.1 for one (DNS rebinding): to the browser the service is
then of the page's own origin, and only the name betrays it.
"""

import ipaddress
import re

from aiohttp import hdrs, web

from kt_images.base_settings import Settings
from kt_images.errors import InvalidRequestError, OtherHostError

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class Hosts:
    """Which names are the service's: the listed ones, and on the loopback always those of the loopback.

    Without a list, any name is, unless the service listens on the loopback only.
    """

    def __init__(self, settings: Settings) -> None:
        self._listed = frozenset(settings.allowed_hosts)
        self._is_local = is_loopback(settings.host)

    def check(self, request: web.Request) -> None:
        """Raise OtherHostError if the request calls another service, InvalidRequestError if it calls none."""
        match request.headers.getall(hdrs.HOST, []):
            case [host] if parsed := HOST.fullmatch(host):
                name = parsed[1].lower().removesuffix(".")
            case _:
                raise InvalidRequestError("The header Host must be the service's name or address, and its port")
        if self._is_restricted(request) and not is_loopback(name) and name not in self._listed:
            raise OtherHostError

    def _is_restricted(self, request: web.Request) -> bool:
        return bool(self._listed) or (self._is_local and _came_over_loopback(request))


def is_loopback(name: str) -> bool:
    """Return whether the name or address is of the machine itself, whatever a name server says."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _came_over_loopback(request: web.Request) -> bool:
    # Under gunicorn the setting for the host is not where the service listens.
    address = request.transport and request.transport.get_extra_info("sockname")
    return isinstance(address, tuple) and is_loopback(address[0])
