"""`python3 -m kt_images.manage.restore`: fill an empty database and its store from a backup's archive.

The database needs its schema and must hold no image; images keep their ids. All objects are stored, and compared with
their SHA-256, before the one transaction with all rows is committed. Until then nothing of it is visible, and a failed
restore leaves nothing behind but orphans, which the collector removes.
"""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pydantic

from kt_images.base_settings import Settings
from kt_images.database import attachments, embedded, images, orphans
from kt_images.database.connection import UNHURRIED, Connection
from kt_images.database.pool import Pool
from kt_images.errors import InvalidRequestError
from kt_images.fields import MAX_ID
from kt_images.files.disk import Disk
from kt_images.files.keys import object_key
from kt_images.files.store import Received, Store
from kt_images.manage import archive, command
from kt_images.manage.archive import ArchiveError
from kt_images.manage.report import summary
from kt_images.models import Attachment, Image
from kt_images.pairing import pair


def main() -> None:
    """Restore everything, or exit with 1 and a sentence, and nothing restored."""
    parser = command.parser("restore", __doc__)
    parser.add_argument("archive", help="the tar file that a backup wrote; - for standard input")
    arguments = parser.parse_args()
    command.run(_run(command.settings(arguments), arguments.archive))


def _input(place: str) -> IO[bytes]:
    return sys.stdin.buffer if place == "-" else Path(place).open("rb")


async def _run(settings: Settings, place: str) -> int:
    with _input(place) as file, embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        command.become_owner(settings)
        async with Pool(dsn, 2, UNHURRIED) as pool:
            store = Disk(settings.uploads_dir)
            await store.open()
            await pair(pool, store)
            async with pool.transaction() as connection:
                if not await images.is_empty(connection):
                    raise InvalidRequestError(
                        "The database holds images; a backup can only be restored into an empty database"
                    )
                await orphans.prevent_removal(connection)
                totals = await _Restoration(pool, connection, store).take(file)
    print(summary(totals))
    return 0


class _Restoration:
    """Puts objects into the store and their rows into an open transaction.

    Until that is committed the objects are orphans, by another connection, so that a failed restore leaves no others.
    """

    def __init__(self, pool: Pool, connection: Connection, store: Store) -> None:
        self._pool, self._connection, self._store = pool, connection, store
        self._totals = {"images": 0, "attachments": 0, "bytes": 0}
        self._highest = 0
        self._files: dict[str, Received] = {}  # whose rows are still to come

    async def take(self, file: IO[bytes]) -> dict[str, int]:
        """Restore everything; return the totals. Raises ArchiveError."""
        try:
            for name, content in archive.members(file):
                if name.startswith(archive.OBJECTS):
                    await self._object(name.removeprefix(archive.OBJECTS), content)
                else:
                    await self._rows(name, archive.rows(content))
        except (pydantic.ValidationError, InvalidRequestError) as error:
            raise ArchiveError("The archive is damaged: its rows are not those of a backup") from error
        return self._totals

    async def _object(self, key: str, content: IO[bytes]) -> None:
        if object_key(key) != key:
            raise ArchiveError("The archive is damaged: it contains an invalid object name")
        async with self._store.receive(_pieces(content), MAX_ID) as received:
            await orphans.expect(self._pool, [key])
            # Its type is in its row, which comes later and is what downloads are answered by.
            await self._store.keep(received, key, "application/octet-stream")
            self._files[key] = received

    async def _rows(self, name: str, rows: list[dict[str, object]]) -> None:
        if name.startswith(archive.IMAGES):
            found = [Image.model_validate(row) for row in rows]
            await images.restore(self._connection, found)
            self._totals["images"] += len(found)
            self._highest = max(self._highest, *(image.image_id for image in found))
        elif name.startswith(archive.ATTACHMENTS):
            await self._attachments([Attachment.model_validate(row) for row in rows])
        elif name == archive.LAST and len(rows) == 1:
            (totals,) = rows
            last = totals.pop("last_image_id", None)
            if totals != self._totals or type(last) is not int or not self._highest <= last <= MAX_ID:
                raise ArchiveError("The archive is damaged: its content does not match its totals")
            await images.continue_after(self._connection, last)
        else:
            raise ArchiveError

    async def _attachments(self, rows: list[Attachment]) -> None:
        for row in rows:
            received = self._files.pop(row.object_key, None)
            if not received or (received.size, received.sha256) != (row.size, row.sha256):
                raise ArchiveError(f"The archive is damaged: the object {row.object_key} does not match its row")
            self._totals["bytes"] += row.size
        self._files.clear()
        await orphans.adopt(self._connection, [row.object_key for row in rows])
        await attachments.restore(self._connection, rows)
        self._totals["attachments"] += len(rows)


async def _pieces(content: IO[bytes]) -> AsyncIterator[bytes]:
    for piece in archive.pieces(content):
        yield piece


if __name__ == "__main__":
    main()
