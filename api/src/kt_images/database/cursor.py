"""The cursor of a list: rows of one column, a JSON text, a given number at a time."""

import contextlib
from typing import Any, Protocol

from kt_images.database.connection import Connection
from kt_images.errors import KtImagesError

# One message, and so one round trip, to the first rows.
OPEN = """
    begin;
    set local cursor_tuple_fraction = {fraction};
    declare list no scroll cursor for {query};
    fetch forward {size} from list
"""

FETCH = "fetch forward {size} from list"

CLOSE = "rollback"

# The share of its rows that a cursor is planned for. PostgreSQL's default, the first tenth, suits a client that takes
# the list in small steps; but a filtered list that is taken whole then takes up to 20 times as long.
WHOLE_LIST, FIRST_STEPS = 1.0, 0.1


class Query(Protocol):
    """What a list is made of: an SQL query of one column, JSON texts in an order, and its parameters."""

    @property
    def sql(self) -> str: ...

    @property
    def parameters(self) -> dict[str, Any]: ...

    def rest(self, document: str, count: int) -> "Query":
        """Return the query of what is left after so many rows, of which this is the last."""


class Cursor:
    """A cursor in a transaction of its own. The rows asked for are on their way while others are worked on.

    Raises UnavailableError and TooSlowError; the connection then goes back to its pool unfit for further use.
    """

    def __init__(self, connection: Connection, query: Query, fraction: float, size: int) -> None:
        """Open it and ask for the first rows; nothing is awaited."""
        self._connection, self._asked = connection, size
        connection.send(OPEN.format(fraction=fraction, query=query.sql, size=size), query.parameters)

    def ask(self, size: int) -> None:
        """Ask for the next rows."""
        self._connection.send(FETCH.format(size=size))
        self._asked = size

    async def rows(self) -> tuple[list[str], bool]:
        """Return the rows asked for, and whether there may be more."""
        documents = [document for (document,) in await self._connection.receive()]
        more, self._asked = len(documents) == self._asked, 0
        return documents, more

    async def close(self) -> None:
        """End the transaction, after any rows still asked for."""
        # A session that is lost here serves nobody else, and this list no longer needs it.
        with contextlib.suppress(KtImagesError):
            if self._asked:
                await self._connection.receive()
            await self._connection.query(CLOSE)
