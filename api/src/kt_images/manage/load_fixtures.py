"""`python3 -m kt_images.manage.load_fixtures`: make, upgrade or renew the database's schema."""

import argparse
import sys

from kt_images.base_settings import Settings, read_settings
from kt_images.database import embedded, schema
from kt_images.database.connection import Connection
from kt_images.errors import KtImagesError
from kt_images.manage import command


def main() -> None:
    """Do what the arguments say; exit with 1 and a sentence when nothing was done."""
    arguments = _parser().parse_args()
    if arguments.list_all:
        print(schema.fixtures())
        return
    flags = ["--postgres_dsn", arguments.postgres_dsn] if arguments.postgres_dsn else []
    command.run(_run(read_settings(flags), arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m kt_images.manage.load_fixtures", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list_all", action="store_true", help="print the names of all fixtures")
    what.add_argument("--apply_all", action="store_true", help="drop all tables and make them anew")
    what.add_argument("--upgrade", action="store_true", help="apply what the database lacks; loses nothing")
    what.add_argument("names", nargs="*", default=[], metavar="NAME", help="apply just these fixtures")
    parser.add_argument("--yes", action="store_true", help="drop tables that hold rows without asking")
    parser.add_argument("--postgres_dsn", help="the database; default: POSTGRES_DSN, else the embedded one")
    return parser


async def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        connection = await Connection.open(dsn, command.LIMITS)
        try:
            if arguments.upgrade:
                applied = await schema.upgrade(connection)
            else:
                applied = schema.fixtures() if arguments.apply_all else arguments.names
                await _apply(connection, applied, arguments.yes)
        finally:
            connection.close()
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("the schema is up to date")
    return 0


async def _apply(connection: Connection, names: list[str], yes: bool) -> None:
    """Apply the fixtures; ask before rows are lost."""
    told: schema.Rows = {}
    try:
        return await schema.apply(connection, names)
    except schema.DataLossError as loss:
        print(loss)
        told = loss.rows
    if not (yes or _is_confirmed()):
        raise KtImagesError("Nothing was changed; --yes drops them without asking")
    try:
        await schema.apply(connection, names, lambda rows: yes or rows == told)
    except schema.DataLossError:
        raise KtImagesError("Nothing was changed: there are other rows by now") from None


def _is_confirmed() -> bool:
    if not (sys.stdin and sys.stdin.isatty()):
        return False
    print("Type yes to go on: ", end="", flush=True)
    return sys.stdin.readline().strip() == "yes"


if __name__ == "__main__":
    main()
