"""Where a database may be: one libpq connection string, many hosts, one address at a time.

libpq tries several hosts by itself, but in asynchronous mode it knows no time limit, and it looks names up while the
event loop waits. So each address is tried by itself, and only names that were looked up get that far.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from itertools import cycle, islice

from psycopg2 import extensions

# libpq's parameters that are lists, an element for each host.
LISTS = ("host", "hostaddr", "port")

# What is tried in turn for a wish that one host alone cannot grant or refuse.
SESSION_ATTRIBUTES = {"prefer-standby": ("standby", "any")}


def preferring_standbys(dsn: str) -> str:
    """Return `dsn` with the wish for a standby, unless it has a wish of its own."""
    wish = {"target_session_attrs": "prefer-standby", **extensions.parse_dsn(dsn)}
    return str(extensions.make_dsn(**wish))


async def addresses(dsn: str) -> AsyncIterator[dict[str, str]]:
    """Yield the connection parameters of each address that `dsn` stands for, in the order in which to try them."""
    named = extensions.parse_dsn(dsn)
    wanted = named.get("target_session_attrs", "any")
    for attributes in SESSION_ATTRIBUTES.get(wanted, (wanted,)):
        for host in _hosts(named):
            async for address in _looked_up(host):
                yield {**address, "target_session_attrs": attributes}


def _hosts(named: dict[str, str]) -> list[dict[str, str]]:
    """Split the lists; a single port is that of all hosts."""
    lists = {name: named[name].split(",") for name in LISTS if name in named}
    count = max((len(lists[name]) for name in ("host", "hostaddr") if name in lists), default=1)
    columns = {name: list(islice(cycle(values), count)) for name, values in lists.items()}
    return [{**named, **{name: values[i] for name, values in columns.items()}} for i in range(count)]


async def _looked_up(host: dict[str, str]) -> AsyncIterator[dict[str, str]]:
    name = host.get("host", "")
    if not name or name.startswith(("/", "@")) or host.get("hostaddr"):
        yield host
        return
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return
    for *_, address in found:
        yield {**host, "hostaddr": str(address[0])}
