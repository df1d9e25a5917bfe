"""The schema: its fixtures, which of them a database has, and bringing a database up to date.

Fixtures are SQL files of `kt_images/fixtures`, applied in the order of their names. One whose name starts with `00_`
starts over: it drops what is there, is never part of an upgrade and never noted in the ledger.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import resources

import psycopg2

from kt_images.database.connection import Connection, Queryable
from kt_images.errors import InvalidRequestError, SchemaError

STARTS_OVER = "00_"

# One at a time, whatever the number of processes. The number means nothing but this.
LOCK = "select pg_advisory_xact_lock(5046820211)"

CREATE_LEDGER = """
    create table if not exists applied_fixtures (
        name text primary key,
        applied_at timestamptz not null default now()
    )
"""

NOTE = "insert into applied_fixtures (name) values (%s) on conflict (name) do update set applied_at = now()"

APPLIED = "select name from applied_fixtures"

ENCODING = "show server_encoding"

# In the order in which they are dropped; a table that is not there has no rows.
TABLES = ("attachments", "images")
EXISTS = "select to_regclass(%s) is not null as found"


# How many rows each table holds.
Rows = dict[str, int]


class FixtureError(InvalidRequestError):
    """A fixture cannot be applied: there is none of this name, or PostgreSQL refuses it."""


class DataLossError(InvalidRequestError):
    """A fixture would drop tables that hold rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        super().__init__("This drops " + ", ".join(f"{table} ({count} rows)" for table, count in rows.items()))


def fixtures() -> list[str]:
    """Return the names of all fixtures, in the order in which they are applied."""
    files = resources.files("kt_images.fixtures").iterdir()
    return sorted(file.name for file in files if file.name.endswith(".sql"))


def _nothing(rows: Rows) -> bool:
    return not any(rows.values())


async def check(db: Queryable) -> None:
    """Raise SchemaError when the database lacks a fixture, UnavailableError when it cannot be asked."""
    if _missing(row.name for row in await db.query(APPLIED)):
        raise SchemaError


async def apply(
    connection: Connection, names: Sequence[str], are_expendable: Callable[[Rows], bool] = _nothing
) -> None:
    """Apply the fixtures `names`, all or none of them.

    When that drops tables, `are_expendable` decides on the rows in them, of which there come no more meanwhile. Raises
    DataLossError, with nothing changed, when they are not. Raises FixtureError when a name or its SQL is wrong.
    """
    if unknown := set(names) - set(fixtures()):
        raise FixtureError(f"There is no fixture {', '.join(sorted(unknown))}; there are {fixtures()}")
    async with connection.transaction():
        await connection.query(LOCK)
        if any(name.startswith(STARTS_OVER) for name in names):
            rows = await _rows(connection)
            if not (_nothing(rows) or are_expendable(rows)):
                raise DataLossError(rows)
        await _apply(connection, names)


async def upgrade(connection: Connection) -> list[str]:
    """Apply the fixtures that the database lacks, never one that drops; return their names.

    Raises FixtureError, with nothing changed.
    """
    async with connection.transaction():
        await connection.query(LOCK)
        await connection.query(CREATE_LEDGER)
        missing = _missing(row.name for row in await connection.query(APPLIED))
        await _apply(connection, missing)
    return missing


def _missing(applied: Iterable[str]) -> list[str]:
    have = set(applied)
    return [name for name in fixtures() if name not in have and not name.startswith(STARTS_OVER)]


async def _apply(connection: Connection, names: Sequence[str]) -> None:
    encoding = (await connection.query(ENCODING))[0].server_encoding
    if encoding != "UTF8":
        raise FixtureError(f"The database has the encoding {encoding}; create one with the encoding UTF8")
    for name in names:
        sql = resources.files("kt_images.fixtures").joinpath(name).read_text()
        try:
            await connection.query(sql)
        except (psycopg2.Error, SchemaError) as error:
            reported = error if isinstance(error, psycopg2.Error) else error.__cause__
            words = reported.diag.message_primary if isinstance(reported, psycopg2.Error) else error
            raise FixtureError(f"The fixture {name} cannot be applied: {words}") from None
        if not name.startswith(STARTS_OVER):
            await connection.query(CREATE_LEDGER)
            await connection.query(NOTE, (name,))


async def _rows(connection: Connection) -> Rows:
    """Count the rows of the tables that are there, and keep others from changing them until the end."""
    rows: Rows = {}
    for table in TABLES:
        if (await connection.query(EXISTS, (table,)))[0].found:
            await connection.query(f"lock table {table}")
            rows[table] = (await connection.query(f"select count(*) as rows from {table}"))[0].rows
    return rows
