"""The hosts of a connection string, one address at a time.

libpq can try several hosts itself, but in asynchronous mode it has no time limit for each, and it blocks the event loop
while it resolves a name. So names are resolved here, and each address is tried separately.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from itertools import cycle, islice

from psycopg2 import extensions

# libpq's parameters that are lists with an element for each host.
LISTS = ("host", "hostaddr", "port")

# A preference among hosts cannot be decided by looking at one: all are tried for each of these in turn.
SESSION_ATTRIBUTES = {"prefer-standby": ("standby", "any")}


def preferring_standbys(dsn: str) -> str:
    """Return `dsn` with a preference for standbys, unless it sets target_session_attrs itself."""
    parameters = {"target_session_attrs": "prefer-standby", **extensions.parse_dsn(dsn)}
    return str(extensions.make_dsn(**parameters))


async def addresses(dsn: str) -> AsyncIterator[dict[str, str]]:
    """Yield the connection parameters of each address that `dsn` means, in the order in which to try them."""
    parameters = extensions.parse_dsn(dsn)
    wanted = parameters.get("target_session_attrs", "any")
    for attributes in SESSION_ATTRIBUTES.get(wanted, (wanted,)):
        for host in _hosts(parameters):
            async for address in _resolved(host):
                yield {**address, "target_session_attrs": attributes}


def _hosts(parameters: dict[str, str]) -> list[dict[str, str]]:
    """Split the lists; a single port applies to all hosts."""
    lists = {name: parameters[name].split(",") for name in LISTS if name in parameters}
    count = max((len(lists[name]) for name in ("host", "hostaddr") if name in lists), default=1)
    columns = {name: list(islice(cycle(values), count)) for name, values in lists.items()}
    return [{**parameters, **{name: values[i] for name, values in columns.items()}} for i in range(count)]


async def _resolved(host: dict[str, str]) -> AsyncIterator[dict[str, str]]:
    name = host.get("host", "")
    if not name or name.startswith(("/", "@")) or host.get("hostaddr"):
        yield host
        return
    try:
        resolved = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return
    for *_, address in resolved:
        yield {**host, "hostaddr": str(address[0])}
