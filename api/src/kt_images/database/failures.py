"""What PostgreSQL reports, as the errors that the rest of the service knows."""

from collections.abc import Callable
from functools import partial

import psycopg2
from psycopg2 import errors as sqlstate

from kt_images import errors
from kt_images.errors import KtImagesError

# The first match counts.
MEANINGS: tuple[tuple[type[Exception], Callable[[], KtImagesError]], ...] = (
    (sqlstate.QueryCanceled, errors.TooSlowError),
    (
        sqlstate.LockNotAvailable,
        partial(errors.UnavailableError, "The database is busy with this; please try again"),
    ),
    (sqlstate.ReadOnlySqlTransaction, errors.ReadOnlyError),
    (sqlstate.DiskFull, partial(errors.DiskFullError, "The database's disk is full; free some space on it")),
    # A standby needed the rows' old versions elsewhere; a list continues with the new ones.
    (sqlstate.SerializationFailure, errors.UnavailableError),
    (sqlstate.IdleInTransactionSessionTimeout, errors.UnavailableError),
    (
        sqlstate.InsufficientPrivilege,
        partial(errors.UnavailableError, "The database refuses what the service needs; check its role's privileges"),
    ),
    (sqlstate.UndefinedTable, errors.SchemaError),
    (sqlstate.UndefinedColumn, errors.SchemaError),
    (sqlstate.UndefinedFunction, errors.SchemaError),
    (psycopg2.OperationalError, errors.UnavailableError),
    (psycopg2.InterfaceError, errors.UnavailableError),
    (OSError, errors.UnavailableError),  # no descriptor is left for another session
)


def translate(error: Exception) -> KtImagesError | None:
    """Return the error that a report of psycopg2 means, None where the statement itself is at fault."""
    return next((ours() for reported, ours in MEANINGS if isinstance(error, reported)), None)


def explained(error: KtImagesError) -> str:
    """Return the error's sentence followed by PostgreSQL's own words: for logs and terminals, never for clients."""
    words = reason(error)
    return f"{error} ({words})" if words else str(error)


def reason(error: KtImagesError) -> str:
    """Return PostgreSQL's own words, which name hosts and roles but no password: for logs and terminals."""
    words = str(error.__cause__ or "").strip()
    return words.splitlines()[0] if words else ""
