"""The schema: how a database gets it, and how one that has an older schema keeps its rows and gets the current one.

Fixtures, `kt_images/fixtures`, make the current schema in an empty database. The one whose name starts with `00_`
starts over: it drops everything, is never part of an upgrade and never noted. Migrations, `kt_images/migrations`, bring
the schema of an earlier release to the current one. A ledger in the database notes both by their names.
"""

from collections.abc import Callable, Sequence
from importlib import resources

import psycopg2

from kt_images.database.connection import Connection, Queryable
from kt_images.errors import InvalidRequestError, NewerSchemaError, SchemaError

FIXTURES, MIGRATIONS = "kt_images.fixtures", "kt_images.migrations"

STARTS_OVER = "00_"
# A database that gets its tables from it needs none of today's migrations.
TABLES_FIXTURE = "01_ddl.sql"

# One at a time, whatever the number of processes. The number means nothing but this.
LOCK = "select pg_advisory_xact_lock(5046820211)"

CREATE_LEDGER = """
    create table if not exists applied_fixtures (
        name text primary key,
        applied_at timestamptz not null default now()
    )
"""

NOTE = """
    insert into applied_fixtures (name) select unnest(%s::text[])
    on conflict (name) do update set applied_at = now()
"""

APPLIED = "select name from applied_fixtures"

ENCODING = "show server_encoding"

# In the order in which they are dropped; a table that does not exist has no rows.
TABLES = ("attachments", "images", "keys")
EXISTS = "select to_regclass(%s) is not null as found"

# How many rows each table holds.
Rows = dict[str, int]


class FixtureError(InvalidRequestError):
    """A fixture or migration cannot be applied: none has this name, or PostgreSQL refuses it."""


class DataLossError(InvalidRequestError):
    """A fixture would drop tables that hold rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        counts = {table: f"{count} row" if count == 1 else f"{count} rows" for table, count in rows.items()}
        super().__init__("This drops " + ", ".join(f"{table} ({count})" for table, count in counts.items()))


def fixtures() -> list[str]:
    """Return the names of all fixtures, in the order in which they are applied."""
    return _names(FIXTURES)


def migrations() -> list[str]:
    """Return the names of all migrations, in the order in which they are applied."""
    return _names(MIGRATIONS)


def _nothing(rows: Rows) -> bool:
    return not any(rows.values())


async def check(db: Queryable) -> None:
    """See that the database has exactly this version's schema.

    Raises SchemaError when something is missing, NewerSchemaError when a newer version of the service has changed it,
    UnavailableError when the database cannot be asked.
    """
    applied = await _applied(db)
    if not _wanted() <= applied:
        raise SchemaError
    _refuse_newer(applied)


async def apply(
    connection: Connection, names: Sequence[str], are_expendable: Callable[[Rows], bool] = _nothing
) -> None:
    """Apply the fixtures `names`, all or none of them.

    When that drops tables, `are_expendable` decides on the rows in them; no more can be added meanwhile. Raises
    DataLossError, with nothing changed, when they are not expendable, and FixtureError when a name or its SQL is wrong.
    """
    if unknown := set(names) - set(fixtures()):
        raise FixtureError(f"There is no fixture {', '.join(sorted(unknown))}; choose from {', '.join(fixtures())}")
    async with connection.transaction():
        await connection.query(LOCK)
        if any(name.startswith(STARTS_OVER) for name in names):
            rows = await _rows(connection)
            if not (_nothing(rows) or are_expendable(rows)):
                raise DataLossError(rows)
        await _apply(connection, FIXTURES, names)


async def upgrade(connection: Connection) -> list[str]:
    """Apply the fixtures and then the migrations that the database lacks, never one that drops; return their names.

    Raises FixtureError and NewerSchemaError, with nothing changed.
    """
    async with connection.transaction():
        await connection.query(LOCK)
        await connection.query(CREATE_LEDGER)
        applied = await _applied(connection)
        _refuse_newer(applied)
        missing = [name for name in fixtures() if name in _wanted() - applied]
        await _apply(connection, FIXTURES, missing)
        due = sorted(_wanted() - await _applied(connection))
        await _apply(connection, MIGRATIONS, due)
    return missing + due


def _names(package: str) -> list[str]:
    return sorted(file.name for file in resources.files(package).iterdir() if file.name.endswith(".sql"))


def _wanted() -> set[str]:
    """Return what the ledger of an up-to-date database holds."""
    return {name for name in fixtures() if not name.startswith(STARTS_OVER)} | set(migrations())


def _refuse_newer(applied: set[str]) -> None:
    if applied - _wanted():
        raise NewerSchemaError


async def _applied(db: Queryable) -> set[str]:
    return {row.name for row in await db.query(APPLIED)}


async def _apply(connection: Connection, package: str, names: Sequence[str]) -> None:
    encoding = (await connection.query(ENCODING))[0].server_encoding
    if encoding != "UTF8":
        raise FixtureError(f"The database has the encoding {encoding}; create one with the encoding UTF8")
    for name in names:
        await _run(connection, name, resources.files(package).joinpath(name).read_text())
        if not name.startswith(STARTS_OVER):
            await connection.query(CREATE_LEDGER)
            await connection.query(NOTE, ([name, *(migrations() if name == TABLES_FIXTURE else ())],))


async def _run(connection: Connection, name: str, sql: str) -> None:
    try:
        await connection.query(sql)
    except (psycopg2.Error, SchemaError) as error:
        reported = error if isinstance(error, psycopg2.Error) else error.__cause__
        words = reported.diag.message_primary if isinstance(reported, psycopg2.Error) else error
        raise FixtureError(f"{name} cannot be applied: {words}") from None


async def _rows(connection: Connection) -> Rows:
    """Count the rows of the tables that exist, and keep others from changing them until the end."""
    rows: Rows = {}
    for table in TABLES:
        if (await connection.query(EXISTS, (table,)))[0].found:
            await connection.query(f"lock table {table}")
            rows[table] = (await connection.query(f"select count(*) as rows from {table}"))[0].rows
    return rows
