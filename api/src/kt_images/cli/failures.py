"""The client's errors as sentences of the command line, with exit statuses."""

from http import HTTPStatus

from kt_images.cli.errors import CliError, FatalError, MisusedError, Status
from kt_images.client import (
    ClientError,
    InvalidAddressError,
    NotFoundError,
    RefusedError,
    StoreFullError,
    TargetExistsError,
    UnreachableError,
)

# The first class that an error is an instance of decides.
KINDS: tuple[tuple[type[ClientError], type[CliError], Status], ...] = (
    (NotFoundError, CliError, Status.NOT_FOUND),
    (UnreachableError, FatalError, Status.UNREACHABLE),
    (StoreFullError, FatalError, Status.FAILED),
    (InvalidAddressError, MisusedError, Status.MISUSED),
    (ClientError, CliError, Status.FAILED),
)
# The options and arguments that the fields of a request come from.
WRITTEN = {
    "tag": "--tag",
    "tags_all": "--all",
    "tags_any": "--any",
    "tags_none": "--none",
    "limit": "--limit",
    "tags": "--tag",
    "add_tags": "+TAG",
    "remove_tags": "-TAG",
    "filename": "the name",
}


def failure(error: ClientError) -> CliError:
    """Return the failure that an error of the client is on the command line."""
    if isinstance(error, RefusedError) and (option := _option(error)):
        kind = MisusedError if error.faults[0].part == "query string" else CliError
        return kind(f"{option}: {error.faults[0].msg}")
    if isinstance(error, TargetExistsError):
        return CliError(f"{error}; --overwrite replaces it")
    kind, status = next((kind, status) for one, kind, status in KINDS if isinstance(error, one))
    return kind(str(error), status)


def _option(error: RefusedError) -> str | None:
    """The option or argument that the service refuses, if it is one of ours."""
    if error.status != HTTPStatus.BAD_REQUEST or not error.faults or not error.faults[0].loc:
        return None
    return WRITTEN.get(str(error.faults[0].loc[0]))
