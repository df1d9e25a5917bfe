"""`python3 -m kt_images.manage.backup`: write all images and files to one archive, while the service runs.

The rows are those of one moment. Their objects are immutable, and none is removed before the backup ends: an attachment
that is replaced or deleted meanwhile is in the archive as it was. Each object's SHA-256 is compared with its row's.
"""

import asyncio
import functools
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import IO

from kt_images.base_settings import Settings
from kt_images.database import embedded
from kt_images.database.connection import UNHURRIED
from kt_images.database.pool import Pool
from kt_images.database.snapshot import Snapshot
from kt_images.errors import DamagedStoreError
from kt_images.files.store import InMemory, Store, read_all
from kt_images.files.stores import store_of
from kt_images.manage import archive, command, containers
from kt_images.manage.ahead import ahead
from kt_images.manage.progress import Progress
from kt_images.manage.report import summary
from kt_images.models.attachments import Attachment
from kt_images.models.images import Image
from kt_images.pairing import pair

IMAGES_STEP, FILES_STEP = 1000, 100
# Objects read ahead, of which each has up to so many bytes; larger ones are not held in memory.
AT_ONCE, SMALL = 16, 2**20


def main() -> None:
    """Back up. When something cannot be read, exit with 1 and a sentence, and leave no archive."""
    parser = command.parser("backup", __doc__)
    parser.add_argument("archive", help="the tar file to write, which must not exist yet; - for standard output")
    arguments = parser.parse_args()
    command.run(_run(command.settings(arguments), arguments.archive))


async def _run(settings: Settings, place: str) -> int:
    store = store_of(settings)
    await store.check()
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn, _output(place) as file:
        async with Pool(dsn, 1, UNHURRIED) as pool:
            await pair(pool, store)
            async with Snapshot.open(pool) as snapshot:
                totals = await _write(snapshot, store, archive.Writer(file))
    print(summary(totals), file=sys.stderr)
    return 0


async def _write(snapshot: Snapshot, store: Store, writer: archive.Writer) -> dict[str, int]:
    count = await snapshot.count()
    totals = {"images": 0, "attachments": 0, "bytes": 0, "last_image_id": count.last_image_id}
    with Progress("images", count.images) as progress:
        async for images in snapshot.images(IMAGES_STEP):
            writer.rows(archive.IMAGES, (Image.model_validate(image).model_dump() for image in images))
            totals["images"] += len(images)
            progress.advance(len(images))
    with Progress("files", count.attachments) as progress:
        rows: list[Attachment] = []
        read = functools.partial(_read, store)
        async with aclosing(ahead(_one_by_one(snapshot), read, AT_ONCE)) as objects:
            async for attachment, content in objects:
                await _write_object(store, writer, attachment, content)
                rows.append(attachment)
                totals["bytes"] += attachment.size
                if len(rows) == FILES_STEP:
                    _write_rows(writer, rows, totals)
                progress.advance(1)
        if rows:
            _write_rows(writer, rows, totals)
    writer.end(totals)
    return totals


async def _one_by_one(snapshot: Snapshot) -> AsyncIterator[Attachment]:
    async for attachments in snapshot.attachments(FILES_STEP):
        for attachment in attachments:
            yield attachment


def _write_rows(writer: archive.Writer, rows: list[Attachment], totals: dict[str, int]) -> None:
    writer.rows(archive.ATTACHMENTS, (row.model_dump(mode="json") for row in rows))
    totals["attachments"] += len(rows)
    rows.clear()


async def _read(store: Store, attachment: Attachment) -> bytes | None:
    """Return a small object's bytes; None for a large one, which is read when its turn has come."""
    if attachment.size > SMALL:
        return None
    async with store.content(attachment.object_key, attachment.size) as content:
        return await read_all(content)


async def _write_object(
    store: Store, writer: archive.Writer, attachment: Attachment, reading: "asyncio.Task[bytes | None]"
) -> None:
    key, size = attachment.object_key, attachment.size
    try:
        if (small := await reading) is not None:
            is_intact = await writer.object(key, size, InMemory(small)) == attachment.sha256
        else:
            async with store.content(key, size) as content:
                is_intact = await writer.object(key, size, content) == attachment.sha256
    except DamagedStoreError:
        await store.check()  # nothing is damaged because its store cannot be reached
        is_intact = False
    if not is_intact:
        raise DamagedStoreError(
            f"The object {key} does not match its row; python3 -m kt_images.manage.check lists all such objects"
        )


@contextmanager
def _output(place: str) -> Iterator[IO[bytes]]:
    """Open the archive; remove it if it is not completed."""
    if place == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(place)
    containers.refuse_lost_path(path)
    with path.open("xb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise


if __name__ == "__main__":
    main()
