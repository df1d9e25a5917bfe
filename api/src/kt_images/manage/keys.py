"""`python3 -m kt_images.manage.keys`: make, list, rotate and revoke keys; the first one is made by this.

A secret is printed once, alone on standard output. The database is that of the service, which may be running.
"""

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta

import pydantic

from kt_images.access import secrets
from kt_images.base_settings import Settings
from kt_images.database import embedded, keys
from kt_images.database.connection import UNHURRIED, Connection, Queryable
from kt_images.manage import command
from kt_images.models.keys import LONGEST_OVERLAP, Key, NewKey
from kt_images.models.scopes import Scope

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_DAYS = 36_500
# Made by: a key, or the command line or a service that needed none.
HEADER = ("ID", "SCOPES", "MADE", "BY KEY", "ENDS", "LAST USED", "NAME")


def main() -> None:
    """Do what the arguments ask."""
    arguments = _parser().parse_args()
    settings = command.settings(arguments, changes=arguments.command != "list")
    command.run(_run(settings, arguments))


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("keys", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="create | list | rotate | revoke")
    create = commands.add_parser("create", help="make a key and print its secret")
    create.add_argument("name", help="who uses it, or for what")
    create.add_argument("--scopes", required=True, help=f"what it may do: {','.join(Scope)}, or some of them")
    create.add_argument("--expires", type=_duration, metavar="90d", help="when it ends: 90d, 12h; default: never")
    commands.add_parser("list", help="list all keys, without their secrets")
    rotate = commands.add_parser("rotate", help="give a key a new secret and print it")
    rotate.add_argument("id")
    rotate.add_argument(
        "--overlap", type=_overlap, default=timedelta(), metavar="1h", help="how long the old secret works, too"
    )
    revoke = commands.add_parser("revoke", help="end a key; within five seconds nobody can use it")
    revoke.add_argument("id")
    return parser


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if found and (duration := timedelta(seconds=int(found[1]) * SECONDS[found[2]])).days <= LONGEST_DAYS:
        return duration
    raise argparse.ArgumentTypeError("give a number of s, m, h or d, as in 90d")


def _overlap(text: str) -> timedelta:
    duration = _duration(text)
    if duration.total_seconds() > LONGEST_OVERLAP:
        raise argparse.ArgumentTypeError("an old secret works for 7d at most")
    return duration


async def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    new = _new(arguments) if arguments.command == "create" else None
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        connection = await Connection.open(dsn, UNHURRIED)
        try:
            if new:
                secret = secrets.make()
                key = await keys.create(connection, secret.key_id, secret.digest, new.name, new.scopes, new.expires_at)
                _show(key, secret)
            elif arguments.command == "rotate":
                secret = secrets.make(arguments.id)
                overlap = arguments.overlap.total_seconds()
                _show(await keys.rotate(connection, arguments.id, secret.digest, overlap), secret)
            elif arguments.command == "revoke":
                await keys.revoke(connection, arguments.id)
                print(f"revoked {arguments.id}")
            else:
                await _list(connection)
        finally:
            connection.close()
    return 0


def _new(arguments: argparse.Namespace) -> NewKey:
    expires_at = datetime.now(UTC) + arguments.expires if arguments.expires else None
    scopes = [scope.strip() for scope in arguments.scopes.split(",") if scope.strip()]
    if unknown := sorted({*scopes} - {*Scope}):
        sys.exit(f"There is no scope {unknown[0]!r}; there are {', '.join(Scope)}")
    given = {"name": arguments.name, "scopes": scopes, "expires_at": expires_at}
    try:
        return NewKey.model_validate({name: value for name, value in given.items() if value is not None})
    except pydantic.ValidationError as error:
        sys.exit("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_input=False)))


def _show(key: Key, secret: secrets.Secret) -> None:
    print(f"The secret of {key.name!r} ({', '.join(key.scopes)}), shown this once:", file=sys.stderr, flush=True)
    print(secret.text)


async def _list(db: Queryable) -> None:
    table = [HEADER]
    for key in await keys.listed(db):
        ends = f"{key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "never"
        used = f"{key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "not yet"
        made = f"{key.created_at:%Y-%m-%d}"
        table.append((key.id, ",".join(key.scopes), made, key.created_by or "-", ends, used, key.name))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
