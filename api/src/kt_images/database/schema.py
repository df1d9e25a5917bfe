"""The schema: its fixtures, which of them a database has, and bringing a database up to date.

Fixtures are SQL files of `kt_images/fixtures`, applied in the order of their names. One whose name starts with `00_`
starts over: it drops what is there, is never part of an upgrade and never noted in the ledger.
"""

from collections.abc import Iterable, Sequence
from importlib import resources

import psycopg2

from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
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

# In the order in which they are dropped; a table that is not there has no rows.
TABLES = ("attachments", "images")
EXISTS = "select to_regclass(%s) is not null as found"


class FixtureError(InvalidRequestError):
    """A fixture cannot be applied: there is none of this name, or PostgreSQL refuses it."""


class DataLossError(InvalidRequestError):
    """A fixture would drop tables that hold rows."""

    def __init__(self, rows: dict[str, int]) -> None:
        self.rows = rows
        super().__init__("This drops " + ", ".join(f"{table} ({count} rows)" for table, count in rows.items()))


def fixtures() -> list[str]:
    """Return the names of all fixtures, in the order in which they are applied."""
    files = resources.files("kt_images.fixtures").iterdir()
    return sorted(file.name for file in files if file.name.endswith(".sql"))


async def check(pool: Pool) -> None:
    """Raise SchemaError when the database lacks a fixture, UnavailableError when it cannot be asked."""
    if _missing(row.name for row in await pool.query(APPLIED)):
        raise SchemaError


async def apply(connection: Connection, names: Sequence[str], expendable: dict[str, int] | None = None) -> None:
    """Apply the fixtures `names`, all or none of them.

    Raises DataLossError, with nothing changed, when that drops tables with other rows than the caller has called
    `expendable`; None stands for no rows at all. Raises FixtureError when a name or its SQL is wrong.
    """
    if unknown := set(names) - set(fixtures()):
        raise FixtureError(f"There is no fixture {', '.join(sorted(unknown))}; there are {fixtures()}")
    async with connection.transaction():
        await connection.query(LOCK)
        if any(name.startswith(STARTS_OVER) for name in names):
            rows = await _rows(connection)
            if any(rows.values()) and rows != expendable:
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
    for name in names:
        sql = resources.files("kt_images.fixtures").joinpath(name).read_text()
        try:
            await connection.query(sql)
        except psycopg2.Error as error:
            raise FixtureError(f"The fixture {name} cannot be applied: {error.diag.message_primary}") from error
        if not name.startswith(STARTS_OVER):
            await connection.query(CREATE_LEDGER)
            await connection.query(NOTE, (name,))


async def _rows(connection: Connection) -> dict[str, int]:
    """Count the rows of the tables that are there, and keep others from changing them until the end."""
    rows = {}
    for table in TABLES:
        if (await connection.query(EXISTS, (table,)))[0].found:
            await connection.query(f"lock table {table}")
            rows[table] = (await connection.query(f"select count(*) as rows from {table}"))[0].rows
    return rows
