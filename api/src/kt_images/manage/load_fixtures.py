"""`python3 -m kt_images.manage.load_fixtures`: create, upgrade or recreate the database's schema."""

import argparse
import sys

from kt_images.base_settings import Settings
from kt_images.database import embedded, schema
from kt_images.database.connection import UNHURRIED, Connection
from kt_images.errors import KtImagesError
from kt_images.manage import command


def main() -> None:
    """Do what the arguments ask; exit with 1 and a sentence if the database was not changed."""
    arguments = _parser().parse_args()
    if arguments.list_all:
        print(schema.fixtures())
        return
    command.run(_run(command.settings(arguments, changes=True), arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m kt_images.manage.load_fixtures", description=command.purpose(__doc__)
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list_all", action="store_true", help="print the names of all fixtures")
    what.add_argument("--apply_all", action="store_true", help="drop all tables and create them again")
    what.add_argument("--upgrade", action="store_true", help="create or complete the schema; keeps all data")
    what.add_argument("names", nargs="*", default=[], metavar="NAME", help="apply these fixtures only")
    parser.add_argument("--yes", action="store_true", help="do not ask before tables with rows are dropped")
    parser.add_argument("--postgres_dsn", help="the database; default: POSTGRES_DSN, else the embedded PostgreSQL")
    parser.add_argument("--database_dir", help="folder of the embedded PostgreSQL; default: KT_IMAGES_DATABASE_DIR")
    return parser


async def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        connection = await Connection.open(dsn, UNHURRIED)
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
    shown: schema.Rows = {}
    try:
        return await schema.apply(connection, names)
    except schema.DataLossError as loss:
        print(loss)
        shown = loss.rows
    if not (yes or _is_confirmed()):
        raise KtImagesError("Nothing was changed; add --yes to drop them without being asked")
    try:
        await schema.apply(connection, names, lambda rows: yes or rows == shown)
    except schema.DataLossError:
        raise KtImagesError("Nothing was changed: rows came or went meanwhile; run the command again") from None


def _is_confirmed() -> bool:
    if not (sys.stdin and sys.stdin.isatty()):
        return False
    print("Type yes to continue: ", end="", flush=True)
    return sys.stdin.readline().strip() == "yes"


if __name__ == "__main__":
    main()
