"""A move of all files to another store, beside services that go on writing into the one before.

Theory of operation
-------------------

    COPYING    all objects that rows name, in the order of keys; a listing of the new store tells which it has already.
               A trigger enters the key of each row that is written meanwhile.
    CATCHING   the objects of what was entered, again and again until little is entered between two rounds.
    SWITCHING  in one transaction: the table `orphans` is locked, the last ones are copied, all orphans are handed
               over, and the new store becomes the database's.
    CLEARING   what lies in the new store without a row, as it was deleted while it was copied, is left to the
               collector.

Why no upload is lost: an upload enters its key in `orphans`, stores its object, and takes the key away in the
transaction that writes its row. That transaction is over before the lock is given, and then its row is among those
copied; or it waits for the switch, finds its key handed over, and fails. An upload that enters its key after the switch
reads in that statement, or in the later one that writes its row, that another store is the database's, and fails. Both
are answered with 503, and nobody was told that they were stored. Deletions need no store: their keys are orphans of the
new one. Objects never change and no key is used twice: what was copied once stays right.
"""

import asyncio
import sys

from kt_images.database import attachments, moves, orphans
from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import DamagedStoreError, UnavailableError
from kt_images.files.store import Store
from kt_images.manage.copying import Copier
from kt_images.manage.in_order import InOrder
from kt_images.manage.progress import Progress
from kt_images.manage.report import counted
from kt_images.manage.unaccounted import unaccounted

STEP = 500
# So many, and of so many bytes, may be left to be copied while no upload can be committed.
FEW, FEW_BYTES = 50, 16 * 2**20
# Rounds until that is so; where uploads come faster than they are copied, some are refused at the end.
MOST_ROUNDS = 20
PAUSE = 0.5
# For backups, restores and writers to come to an end.
PATIENCE_SECONDS = 3600.0


class Moving:
    """Moves all files from the source, which the database's services use, to the target; both are entered."""

    def __init__(self, db: Pool, source: Store, target: Store, verify: bool) -> None:
        self._db, self._source, self._target = db, source, target
        self._copier = Copier(db, source, target, verify)

    async def copy(self, alone: Connection) -> Copier:
        """Copy all that rows name, but what is written meanwhile. Raises DiskFullError and UnavailableError."""
        files, size = await moves.count(self._db)
        say(f"Copying {counted(files, 'file')}, {counted(size, 'byte')}; uploads go on meanwhile")
        listing, after = InOrder(self._target), ""
        with Progress("files", files) as progress:
            while rows := await moves.page(self._db, after, STEP):
                present = [await listing.size(row.object_key) for row in rows]
                await self._copier.copy(rows, present, progress.advance)
                after = rows[-1].object_key
                await moves.still(alone)
        counts = self._copier.counts
        say(f"{counted(counts['copied'], 'file')} copied, {counts['skipped']:,} were there")
        return self._copier

    async def switch(self, skip_damaged: bool) -> None:
        """Copy the rest and make the target the database's store. Raises DamagedStoreError unless all is well."""
        for _ in range(MOST_ROUNDS):
            if await self._catch_up():
                break
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        waiting = False
        while not await self._try_to_switch(skip_damaged):
            if asyncio.get_running_loop().time() > deadline:
                raise UnavailableError("A backup or a restore does not end; run the command again when it has")
            if not waiting:
                say("Waiting for a backup, a restore or a long transaction to end")
                waiting = True
            await asyncio.sleep(PAUSE)
            await self._catch_up()

    async def clear(self) -> int:
        """Leave to the collector what lies in the target without a row; return how much."""
        strays = 0
        async for step in self._target.walk():
            found, _ = await unaccounted(self._db, self._target, step)
            keys = [one.object for one in found if one.problem == "orphan"]
            await orphans.expect(self._db, keys, store_id=self._target.entered)
            strays += len(keys)
        return strays

    async def _catch_up(self) -> bool:
        """Copy what was entered; return whether it was little."""
        files = size = 0
        while True:
            keys, rows = await moves.new(self._db, STEP)
            await self._copier.copy(rows)
            await moves.copied(self._db, keys)
            files, size = files + len(rows), size + sum(row.size for row in rows)
            if len(keys) < STEP:
                return files <= FEW and size <= FEW_BYTES

    async def _try_to_switch(self, skip_damaged: bool) -> bool:
        try:
            async with self._db.transaction() as connection:
                if not await moves.freeze(connection):
                    return False
                await self._catch_up()
                await self._refuse_damaged(skip_damaged)
                await moves.switch(connection, self._source.entered or "", self._target.entered or "")
        except moves.BusyError:
            return False
        return True

    async def _refuse_damaged(self, skip: bool) -> None:
        left = await self.still_damaged()
        if left and not skip:
            raise DamagedStoreError(
                f"{counted(len(left), 'file')} cannot be copied, and so nothing was switched: the services go on with "
                "the store they have. Restore or delete these, or leave them behind with --skip-damaged"
            )

    async def still_damaged(self) -> list[str]:
        """Return the keys of objects that could not be copied, of those that a row still names."""
        return sorted(await attachments.referenced(self._db, self._copier.damaged))


def say(sentence: str) -> None:
    """Tell whoever waits how far the move is."""
    print(sentence, file=sys.stderr, flush=True)
