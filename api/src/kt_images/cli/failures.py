"""The client's errors as sentences of the command line, with exit statuses."""

import os
from collections.abc import Mapping
from http import HTTPStatus

from kt_images.cli.errors import CliError, FatalError, MisusedError, Status
from kt_images.client import (
    ClientError,
    ConnectionBrokenError,
    ForbiddenError,
    InvalidAddressError,
    InvalidKeyError,
    NotFoundError,
    RefusedError,
    StoreFullError,
    TargetExistsError,
    UnauthorizedError,
    UnreachableError,
)

KEY = "KT_IMAGES_KEY"  # the variable that has a key
# The first class that an error is an instance of decides.
KINDS: tuple[tuple[type[ClientError], type[CliError], Status], ...] = (
    (NotFoundError, CliError, Status.NOT_FOUND),
    (UnreachableError, FatalError, Status.UNREACHABLE),
    # Not fatal: the cause may be this one request, such as an upload that a proxy cuts off.
    (ConnectionBrokenError, CliError, Status.UNREACHABLE),
    (StoreFullError, FatalError, Status.FAILED),
    (ForbiddenError, FatalError, Status.DENIED),
    (InvalidAddressError, MisusedError, Status.MISUSED),
    (InvalidKeyError, MisusedError, Status.MISUSED),
    (ClientError, CliError, Status.FAILED),
)
# The options and arguments that the fields of a request come from.
WRITTEN = {
    "tag": "--tag",
    "tags_all": "--all",
    "tags_any": "--any",
    "tags_none": "--none",
    "untagged": "--untagged",
    "after": "--after",
    "before": "--before",
    "limit": "--limit",
    "tags": "--tag",
    "add_tags": "+TAG or --add",
    "remove_tags": "-TAG or --remove",
    "filename": "the name",
    "prefix": "PREFIX",
    "contains": "--contains",
    "to": "NEW",
}


def failure(error: ClientError, written: Mapping[str, str] = WRITTEN, refusal: type[CliError] = CliError) -> CliError:
    """Return the failure that an error of the client is on the command line.

    `written` names the options and arguments that the fields of the request come from; if the service refuses such a
    field of a body, the failure is a `refusal`.
    """
    if isinstance(error, RefusedError) and (option := _option(error, written)):
        kind = MisusedError if error.faults[0].part == "query string" else refusal
        return kind(f"{option}: {error.faults[0].msg}")
    if isinstance(error, TargetExistsError):
        return CliError(f"{error}; --overwrite replaces it")
    if isinstance(error, UnauthorizedError):
        return FatalError(_advice(error), Status.DENIED)
    kind, status = next((kind, status) for one, kind, status in KINDS if isinstance(error, one))
    return kind(str(error), status)


def _advice(error: UnauthorizedError) -> str:
    if not error.is_key_sent:
        return "The service needs a key for this. Its operator makes keys; kt-images login keeps one"
    return f"{error}; {f'it is that in {KEY}' if os.environ.get(KEY) else 'kt-images login takes another'}"


def _option(error: RefusedError, written: Mapping[str, str]) -> str | None:
    """The option or argument that the service refuses, if it is one of ours."""
    if error.status != HTTPStatus.BAD_REQUEST or not error.faults or not error.faults[0].loc:
        return None
    return written.get(str(error.faults[0].loc[0]))
