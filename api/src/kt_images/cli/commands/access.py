"""The commands about keys: `login`, `logout`, `keys …`."""

from datetime import timedelta
from typing import Annotated

import typer

from kt_images.cli.errors import MisusedError, Status
from kt_images.cli.numbers import duration
from kt_images.cli.options import Server, address

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The id of a key, the 8 characters after kti_.")]


def login(context: typer.Context, server: Server = None) -> Status:
    """Keep a key for the service; all commands send it from now on.

    The key is asked for, or read from standard input. It is kept in the system's keyring, if the extra `keyring` is
    installed, or in a file that you alone can read. KT_IMAGES_KEY goes before it.
    """
    from kt_images.cli import access

    if context.args:  # not repeated: it may be the key
        raise MisusedError("login takes no arguments, which others see; it asks for the key or reads it from a pipe")
    return access.login(address(context, server))


def logout(context: typer.Context, server: Server = None) -> Status:
    """Forget the key for the service."""
    from kt_images.cli import access

    return access.logout(address(context, server))


def list_(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="A JSON object in each line.")] = False,
    server: Server = None,
) -> Status:
    """List keys, without their secrets: id, name, scopes, and when it was made, ends and was last used."""
    from kt_images.cli import keys

    return keys.list_keys(address(context, server), as_json=json)


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it, or for what.")],
    scopes: Annotated[
        str, typer.Option("--scopes", metavar="S,S", help="What it may do: read, write, delete, admin, metrics.")
    ],
    expires: Annotated[
        timedelta | None,
        typer.Option("--expires", parser=duration("--expires"), metavar="90d", help="How long it works: 90d, 12h."),
    ] = None,
    server: Server = None,
) -> Status:
    """Make a key, and write its secret to standard output, this once."""
    from kt_images.cli import keys

    return keys.create(address(context, server), name, [one.strip() for one in scopes.split(",")], expires)


def rotate(
    context: typer.Context,
    id_: KeyId,
    overlap: Annotated[
        timedelta | None,
        typer.Option(
            "--overlap", parser=duration("--overlap"), metavar="1h", help="How long the old secret works, too."
        ),
    ] = None,
    server: Server = None,
) -> Status:
    """Give a key a new secret, and write that to standard output, this once."""
    from kt_images.cli import keys

    return keys.rotate(address(context, server), id_, overlap or timedelta())


def revoke(context: typer.Context, id_: KeyId, server: Server = None) -> Status:
    """End a key, for everybody who uses it."""
    from kt_images.cli import keys

    return keys.revoke(address(context, server), id_)
