"""`keys`: who may call the service."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from rich.cells import cell_len, set_cell_size

from kt_images.cli import output
from kt_images.cli.errors import MisusedError, Status
from kt_images.cli.failures import failure
from kt_images.cli.names import shown
from kt_images.cli.service import is_given, key_for, service
from kt_images.cli.work import run
from kt_images.client import Client, ClientError, IssuedKey, Key
from kt_images.client.keys import key_id

HEADER = ("ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED")
# The options and arguments that the fields of a request come from.
WRITTEN = {"name": "NAME", "scopes": "--scopes", "expires_at": "--expires", "overlap_seconds": "--overlap"}


def list_keys(server: str, *, as_json: bool) -> Status:
    """Write the keys to standard output, without their secrets. Raises CliError."""
    keys = run(_all(server))
    if as_json:
        output.write(output.as_json(keys))
        return Status.DONE
    rows = [_row(key) for key in keys]
    if output.is_terminal():
        widths = [max(map(cell_len, column)) for column in zip(HEADER, *rows, strict=True)]
        rows = [list(map(set_cell_size, row, widths)) for row in (HEADER, *rows)]
    joint = "  " if output.is_terminal() else "\t"
    output.write("".join(f"{joint.join(row).rstrip(' ')}\n" for row in rows))
    return Status.DONE


def create(server: str, name: str, scopes: list[str], lifetime: timedelta | None) -> Status:
    """Make a key and write its secret to standard output. Raises CliError."""
    expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
    return _issue(server, lambda client: client.create_key(name, scopes, expires_at))


def rotate(server: str, id_: str, overlap: timedelta) -> Status:
    """Give the key a new secret and write that to standard output. Raises CliError."""
    status = _issue(server, lambda client: client.rotate_key(id_, int(overlap.total_seconds())))
    sent = key_for(server)
    if sent and key_id(sent) == id_:
        place = "set KT_IMAGES_KEY to the new secret" if is_given() else "kt-images login keeps the new secret"
        output.say(f"It is the key that you use: {place}")
    return status


def revoke(server: str, id_: str) -> Status:
    """End the key. Raises CliError."""
    run(_revoke(server, id_))
    output.say(f"Key {id_} is revoked")
    return Status.DONE


async def _all(server: str) -> list[Key]:
    async with service(server) as client:
        return await client.keys()


async def _revoke(server: str, id_: str) -> None:
    async with service(server) as client:
        await client.revoke_key(id_)


def _issue(server: str, issue: Callable[[Client], Awaitable[IssuedKey]]) -> Status:
    key = run(_issued(server, issue))
    ends = "never ends" if key.expires_at is None else f"ends {_moment(key.expires_at)}"
    output.say(f"Key {key.id} for {shown(key.name)} may {', '.join(key.scopes)} and {ends}. It is shown this once:")
    output.write(f"{shown(key.key)}\n")
    return Status.DONE


async def _issued(server: str, issue: Callable[[Client], Awaitable[IssuedKey]]) -> IssuedKey:
    async with service(server) as client:
        try:
            return await issue(client)
        except ClientError as error:
            raise failure(error, WRITTEN, MisusedError) from error


def _row(key: Key) -> list[str]:
    scopes = ",".join(key.scopes)
    expires, used = _moment(key.expires_at, "never"), _moment(key.last_used_at, "never")
    return [shown(cell) for cell in (key.id, key.name, scopes, _moment(key.created_at), expires, used)]


def _moment(moment: datetime | None, otherwise: str = "") -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z" if moment else otherwise
