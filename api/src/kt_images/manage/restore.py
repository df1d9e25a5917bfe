"""`python3 -m kt_images.manage.restore`: fill an empty database and its store from the archive of a backup.

The database needs its schema and holds no image. The images keep their ids. All files are in their places, compared
with their SHA-256, before the one transaction with all rows is committed: until then nothing of it is to be seen, and
what fails leaves nothing behind but files that no row names.
"""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pydantic

from kt_images.base_settings import Settings
from kt_images.database import attachments, embedded, images
from kt_images.database.connection import Connection
from kt_images.database.pool import Pool
from kt_images.errors import InvalidRequestError
from kt_images.fields import MAX_ID
from kt_images.files.store import Received, Store
from kt_images.manage import archive, command
from kt_images.manage.archive import ArchiveError
from kt_images.models import Attachment, Image
from kt_images.pairing import pair


def main() -> None:
    """Restore; exit with 1 and a sentence when nothing was restored."""
    parser = command.parser("restore", __doc__)
    parser.add_argument("archive", help="the tar file that a backup wrote; - is stdin")
    arguments = parser.parse_args()
    command.run(_run(command.settings(arguments), arguments.archive))


def _input(place: str) -> IO[bytes]:
    return sys.stdin.buffer if place == "-" else Path(place).open("rb")


async def _run(settings: Settings, place: str) -> int:
    with _input(place) as file, embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        command.become_owner(settings)
        async with Pool(dsn, 1, command.LIMITS) as pool:
            store = Store(settings.uploads_dir)
            store.open()
            await pair(pool, store)
            async with pool.transaction() as connection:
                if not await images.are_none(connection):
                    raise InvalidRequestError("The database holds images; only an empty one can be restored to")
                await attachments.prevent_removal(connection)
                totals = await _Restoration(connection, store).take(file)
    print("{images:,} images, {attachments:,} files, {bytes:,} bytes".format_map(totals))
    return 0


class _Restoration:
    """What was restored so far: the rows into an open transaction, the files into the store."""

    def __init__(self, connection: Connection, store: Store) -> None:
        self._connection, self._store = connection, store
        self._totals = {"images": 0, "attachments": 0, "bytes": 0}
        self._highest = 0
        self._files: dict[str, Received] = {}  # whose rows have not come yet

    async def take(self, file: IO[bytes]) -> dict[str, int]:
        """Restore all; return how much there was. Raises ArchiveError."""
        try:
            for name, content in archive.members(file):
                if name.startswith(archive.OBJECTS):
                    await self._file(name.removeprefix(archive.OBJECTS), content)
                else:
                    await self._rows(name, archive.rows(content))
        except (pydantic.ValidationError, InvalidRequestError) as error:
            raise ArchiveError("The archive is damaged: its rows or names are not a backup's") from error
        return self._totals

    async def _file(self, key: str, content: IO[bytes]) -> None:
        async with self._store.receive(_pieces(content), MAX_ID) as received:
            await self._store.take_back(received, key)
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
                raise ArchiveError("The archive is damaged: it holds more or less than its totals say")
            await images.go_on_after(self._connection, last)
        else:
            raise ArchiveError

    async def _attachments(self, rows: list[Attachment]) -> None:
        for row in rows:
            received = self._files.pop(row.object_key, None)
            if not received or (received.size, received.sha256) != (row.size, row.sha256):
                raise ArchiveError(f"The archive is damaged: the file {row.object_key} is not what its row says")
            self._totals["bytes"] += row.size
        self._files.clear()
        await attachments.restore(self._connection, rows)
        self._totals["attachments"] += len(rows)


async def _pieces(content: IO[bytes]) -> AsyncIterator[bytes]:
    for piece in archive.pieces(content):
        yield piece


if __name__ == "__main__":
    main()
