"""What PostgreSQL reports, and what that means to the layers above."""

import contextlib
from collections.abc import Iterator

import psycopg2
from psycopg2 import errors as sqlstate

from kt_images import errors

# The first that a report is an instance of decides.
MEANINGS: tuple[tuple[type[psycopg2.Error], errors.KtImagesError], ...] = (
    (sqlstate.QueryCanceled, errors.TooSlowError()),
    (sqlstate.LockNotAvailable, errors.UnavailableError("The database is busy with this, please try again")),
    (sqlstate.ReadOnlySqlTransaction, errors.ReadOnlyError()),
    # A standby's row versions were needed elsewhere; a list goes on with new ones.
    (sqlstate.SerializationFailure, errors.UnavailableError()),
    (sqlstate.IdleInTransactionSessionTimeout, errors.UnavailableError()),
    (sqlstate.InsufficientPrivilege, errors.UnavailableError("The database refuses what the service needs")),
    (sqlstate.UndefinedTable, errors.SchemaError()),
    (sqlstate.UndefinedColumn, errors.SchemaError()),
    (sqlstate.UndefinedFunction, errors.SchemaError()),
    (psycopg2.OperationalError, errors.UnavailableError()),
    (psycopg2.InterfaceError, errors.UnavailableError()),
)


@contextlib.contextmanager
def meaning() -> Iterator[None]:
    """Raise what psycopg2 reports as one of our errors; let what is our own bug pass."""
    try:
        yield
    except psycopg2.Error as error:
        for reported, ours in MEANINGS:
            if isinstance(error, reported):
                raise type(ours)(str(ours)) from error
        raise


def explained(error: errors.KtImagesError) -> str:
    """Return the error's sentence with libpq's own words for it: for logs and terminals, not for clients."""
    words = str(error.__cause__ or "").strip()
    return f"{error} ({words.splitlines()[0]})" if words else str(error)
