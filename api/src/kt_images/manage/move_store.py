"""`python3 -m kt_images.manage.move_store`: move all files to another store, beside the running service.

Each object is compared with the SHA-256 of its row as it is copied. Uploads, replacements and deletions go on; the
switch at the end takes a moment. From then on services that use the store before answer uploads with 503, until they
are started with the new setting. Whatever stops the command, it can be run again and goes on where it stopped. The
objects in the store before stay; thumbnails are not copied, they are made again when somebody asks for them.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator

from kt_images import pairing
from kt_images.base_settings import Settings
from kt_images.database import embedded, moves, schema, stores
from kt_images.database.connection import UNHURRIED, Connection
from kt_images.database.pool import Pool
from kt_images.errors import InvalidRequestError, KtImagesError
from kt_images.files.store import Store
from kt_images.files.stores import name_of, store_of
from kt_images.manage import command, places
from kt_images.manage.moving import Moving, say
from kt_images.manage.report import counted

OTHERS = (
    "There is a store already that was never this database's. Choose a place without one: what is there may belong to "
    "another database"
)


def main() -> None:
    """Move all files, or exit with 1 and a sentence, and the services go on as before."""
    parser = command.parser("move_store", __doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", metavar="PLACE", help="the new store: a folder, or s3://bucket/prefix")
    what.add_argument("--cancel", action="store_true", help="give up a move that was stopped before its end")
    parser.add_argument("--verify", action="store_true", help="read each object back from the new store")
    parser.add_argument("--skip-damaged", action="store_true", help="leave behind what is missing or damaged already")
    arguments = parser.parse_args()
    settings = command.settings(arguments, changes=True)
    if arguments.cancel:
        command.run(_cancel(settings))
    command.run(_run(settings, arguments.to, arguments.verify, arguments.skip_damaged))


async def _cancel(settings: Settings) -> int:
    async with _database(settings) as pool, pool.transaction() as alone:
        await moves.begin_alone(alone)
        await moves.unwatch(pool)
    return 0


async def _run(settings: Settings, to: str, verify: bool, skip_damaged: bool) -> int:
    new = places.at(settings, to)
    places.refuse_overlap(settings, new)
    async with _database(settings) as pool, pool.transaction() as alone:
        await moves.begin_alone(alone)
        source, target = store_of(settings), store_of(new)
        if not (current := await stores.known(pool)):
            raise InvalidRequestError("The database has no files yet: start the service with the other store")
        await source.open()
        if await source.identity() == current:
            await _claim(pool, source, target, current, (name_of(settings), name_of(new)))
            moving = Moving(pool, source, target, verify)
            await _move(pool, moving, alone, skip_damaged)
        elif await target.identity() == current:
            await target.enter(current)
            moving = Moving(pool, source, target, verify)
            say("The files are there already")
        else:
            await pairing.enter(pool, source, current)  # raises an error that explains it
        await _end(pool, moving, settings, new)
    return 0


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Pool]:
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        command.become_owner(settings)
        async with Pool(dsn, 4, UNHURRIED) as pool:
            await schema.check(pool)
            yield pool


async def _claim(pool: Pool, source: Store, target: Store, current: str, names: tuple[str, str]) -> None:
    """Enter both stores. Raises InvalidRequestError when the target may be another database's, or is the source."""
    await source.enter(current)
    await target.open()
    found = await target.identity()
    if found == current:
        raise InvalidRequestError("This is the store that the files are in")
    if found and not await moves.place(pool, found):
        raise InvalidRequestError(OTHERS)
    # Known before it is there: whatever ends this in between, the next attempt finds a store that is ours.
    new = found or str(uuid.uuid4())
    for store_id, name in zip((current, new), names, strict=True):
        await moves.remember(pool, store_id, name)
    await target.claim(new)
    await target.enter(new)  # raises an error when another was faster


async def _move(pool: Pool, moving: Moving, alone: Connection, skip_damaged: bool) -> None:
    await moves.watch(pool)
    try:
        copier = await moving.copy(alone)
        for key in await moving.still_damaged():
            row = copier.damaged[key]
            print(f"damaged: {key}, image {row.image_id} {row.filename!a}")
        await moving.switch(skip_damaged)
    finally:
        # Another attempt begins anew, with all rows.
        with contextlib.suppress(KtImagesError):
            await moves.unwatch(pool)


async def _end(pool: Pool, moving: Moving, settings: Settings, new: Settings) -> None:
    with contextlib.suppress(KtImagesError):
        await moves.unwatch(pool)
    if strays := await moving.clear():
        say(f"{counted(strays, 'object')} deleted meanwhile: left to the collector")
    print(f"The files are in {name_of(new)} now. Start each service anew with {places.setting(new)}")
    print(
        f"Services that still run read the objects in {name_of(settings)} until they are started anew. "
        f"Once all of them are, and all is well, {places.removal(settings)}"
    )


if __name__ == "__main__":
    main()
