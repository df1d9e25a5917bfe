"""`python3 -m kt_images.manage.backup`: write all images and files to one archive, beside the running service.

The rows are those of one moment. Their files are immutable, and none is removed before the backup ends, so what is
replaced or deleted meanwhile is in the archive as it was. Each file's SHA-256 is compared with its row's on the way.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kt_images.base_settings import Settings
from kt_images.database import embedded
from kt_images.database.pool import Pool
from kt_images.database.snapshot import Snapshot
from kt_images.errors import DamagedStoreError
from kt_images.files.store import Store
from kt_images.manage import archive, command
from kt_images.manage.progress import Progress
from kt_images.models import Attachment, Image
from kt_images.pairing import pair

IMAGES_STEP, FILES_STEP = 1000, 100


def main() -> None:
    """Back up; exit with 1 and a sentence, and without an archive, when something cannot be read."""
    parser = command.parser("backup", __doc__)
    parser.add_argument("archive", help="the tar file to write, which must not be there yet; - is stdout")
    arguments = parser.parse_args()
    command.run(_run(command.settings(arguments), arguments.archive))


async def _run(settings: Settings, place: str) -> int:
    store = Store(settings.uploads_dir)
    store.check()
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn, _output(place) as file:
        async with Pool(dsn, 1, command.LIMITS) as pool:
            await pair(pool, store)
            async with Snapshot.open(pool) as snapshot:
                totals = await _write(snapshot, store, archive.Writer(file))
    print("{images:,} images, {attachments:,} files, {bytes:,} bytes".format_map(totals), file=sys.stderr)
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
        async for attachments in snapshot.attachments(FILES_STEP):
            for attachment in attachments:
                _write_file(store, writer, attachment)
                totals["bytes"] += attachment.size
                progress.advance(1)
            writer.rows(archive.ATTACHMENTS, (attachment.model_dump(mode="json") for attachment in attachments))
            totals["attachments"] += len(attachments)
    writer.end(totals)
    return totals


def _write_file(store: Store, writer: archive.Writer, attachment: Attachment) -> None:
    try:
        with store.open_object(attachment.object_key, attachment.size) as file:
            is_whole = writer.file(attachment.object_key, attachment.size, file) == attachment.sha256
    except DamagedStoreError:
        is_whole = False
    if not is_whole:
        key = attachment.object_key
        raise DamagedStoreError(f"The file {key} is not what its row says; kt_images.manage.check tells more")


@contextmanager
def _output(place: str) -> Iterator[IO[bytes]]:
    """Open the archive; what is not written to its end does not stay."""
    if place == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(place)
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
