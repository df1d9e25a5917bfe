"""The cursor of a list: images as JSON texts by their ids, a given number at a time."""

import contextlib

from kt_images.database.connection import Connection
from kt_images.database.selection import order_by, where
from kt_images.errors import KtImagesError
from kt_images.models import Selection

# One message, and so one round trip, to the first rows.
OPEN = """
    begin;
    set local cursor_tuple_fraction = {fraction};
    declare list no scroll cursor for
        select document from images
        where {where}
        order by {order}
        limit %(limit)s;
    fetch forward {size} from list
"""

FETCH = "fetch forward {size} from list"

CLOSE = "rollback"

# The share of its rows that a cursor is planned for. PostgreSQL's default, the first tenth, suits a client that takes
# the list in small steps; but a filtered list that is taken whole then takes up to 20 times as long.
WHOLE_LIST, FIRST_STEPS = 1.0, 0.1


class Cursor:
    """A cursor in a transaction of its own. The rows asked for are on their way while others are worked on.

    Raises UnavailableError and TooSlowError; the connection then goes back to its pool unfit for further use.
    """

    def __init__(self, connection: Connection, selection: Selection, fraction: float, size: int) -> None:
        """Open it and ask for the first rows; nothing is awaited."""
        self._connection, self._asked = connection, size
        sql = OPEN.format(fraction=fraction, where=where(selection), order=order_by(selection), size=size)
        connection.send(sql, selection.model_dump())

    def ask(self, size: int) -> None:
        """Ask for the next rows."""
        self._connection.send(FETCH.format(size=size))
        self._asked = size

    async def rows(self) -> tuple[list[str], bool]:
        """Return the images asked for, and whether there may be more."""
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
