"""`python3 -m kt_images.manage.restore`: fill an empty database and its store from a backup's archive.

The database needs its schema and must hold no image; images keep their ids, objects get new keys. All files are
decoded, compared with their SHA-256 and stored before the one transaction with all rows is committed. Until then
nothing of it is visible, and a restore that fails removes what it has stored, or leaves it to the collector.
"""

import contextlib
import sys
from datetime import datetime
from pathlib import Path
from typing import IO

from kt_images.base_settings import Settings
from kt_images.database import embedded, images, orphans, stores
from kt_images.database.connection import UNHURRIED, Connection
from kt_images.database.pool import Pool
from kt_images.errors import InvalidRequestError, KtImagesError
from kt_images.files.decoders import Decoders
from kt_images.files.store import Store
from kt_images.files.stores import store_of
from kt_images.manage import command
from kt_images.manage.report import summary
from kt_images.manage.restoration import Restoration
from kt_images.pairing import is_anothers, pair

# Objects that are removed together.
STEP = 1000

ANOTHERS = (
    "The store holds the files of a database that is not this one. Two databases on one store delete each other's "
    "files: give the restore an empty place by --store, or add --adopt if that database is lost"
)


def main() -> None:
    """Restore everything, or exit with 1 and a sentence, and nothing restored."""
    parser = command.parser("restore", __doc__)
    parser.add_argument("archive", help="the tar file that a backup wrote; - for standard input")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="restore files without decoding them, and whatever the limits of uploads are: for a backup of your own",
    )
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="use a store that holds files, because the database that they belong to is lost",
    )
    arguments = parser.parse_args()
    settings = command.settings(arguments, changes=True)
    command.run(_run(settings, arguments.archive, arguments.trust, arguments.adopt))


def _input(place: str) -> IO[bytes]:
    return sys.stdin.buffer if place == "-" else Path(place).open("rb")


async def _run(settings: Settings, place: str, trust: bool, adopt: bool) -> int:
    with _input(place) as file, embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        command.become_owner(settings)
        async with Pool(dsn, 2, UNHURRIED) as pool, Decoders(settings.max_pixels, settings.decode_memory) as decoders:
            store = store_of(settings)
            await store.open()
            if not adopt and await is_anothers(pool, store):
                raise InvalidRequestError(ANOTHERS)
            await pair(pool, store)
            restoration = Restoration(pool, store, None if trust else decoders, settings)
            totals = await _restore(pool, store, restoration, file)
    print(summary(totals))
    return 0


async def _restore(pool: Pool, store: Store, restoration: Restoration, file: IO[bytes]) -> dict[str, int]:
    batch = await orphans.new_batch(pool)
    try:
        async with pool.transaction() as connection:
            await _check_empty(connection)
            await orphans.prevent_removal(connection)
            await stores.check(connection, store.entered)  # files were perhaps moved until just now
            return await restoration.take(file, connection, batch)
    except BaseException:
        with contextlib.suppress(KtImagesError, OSError):
            await _take_back(pool, store, batch)
        raise


async def _check_empty(connection: Connection) -> None:
    if not await images.is_empty(connection):
        raise InvalidRequestError("The database holds images; a backup can only be restored into an empty database")


async def _take_back(pool: Pool, store: Store, batch: datetime) -> None:
    """Remove the objects of a batch that has no rows."""
    while taken := await orphans.take_batch(pool, batch, STEP):
        await store.remove(taken)
        await orphans.forget(pool, taken)


if __name__ == "__main__":
    main()
