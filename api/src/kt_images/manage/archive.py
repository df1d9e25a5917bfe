"""The archive of a backup: a plain tar, written and read as a stream.

    manifest.ndjson                 {"format": "kt-images", "version": 1}
    images/00000001.ndjson          rows of images, one a line
    objects/019/19-….jpg            an object; each precedes its row
    attachments/00000009.ndjson     the rows of the objects since the last such member
    totals.ndjson                   how many of each there are: the proof that nothing is missing

A member holds some hundreds of rows, and neither side holds more than one member's.
"""

import hashlib
import json
import tarfile
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import IO, Any

from kt_images.errors import KtImagesError

TRUNCATED = "The archive is truncated or damaged"
UNREADABLE_ROWS = "The archive is damaged: its rows cannot be read"

MANIFEST = {"format": "kt-images", "version": 1}
FIRST, LAST = "manifest.ndjson", "totals.ndjson"
IMAGES, OBJECTS, ATTACHMENTS = "images/", "objects/", "attachments/"

PIECE = 2**20


class ArchiveError(KtImagesError):
    """The archive is not a backup, or it is incomplete."""

    sentence = "This is not a backup of kt-images"


class Writer:
    """Writes an archive to a file that need not be seekable."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._members = file, 0
        self._rows(FIRST, [MANIFEST])

    def rows(self, folder: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows of images or attachments."""
        self._members += 1
        self._rows(f"{folder}{self._members:08}.ndjson", rows)

    async def object(self, key: str, size: int, content: AsyncIterable[bytes]) -> str:
        """Add an object of `size` bytes; return the SHA-256 of its content."""
        digest = hashlib.sha256()
        self._begin(OBJECTS + key, size)
        async for piece in content:
            digest.update(piece)
            self._file.write(piece)
        self._end(size)
        return digest.hexdigest()

    def end(self, totals: dict[str, int]) -> None:
        """Add the totals; an archive without them is incomplete."""
        self._rows(LAST, [totals])
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))

    def _rows(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        self._begin(name, len(text))
        self._file.write(text)
        self._end(len(text))

    def _begin(self, name: str, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size = size
        self._file.write(member.tobuf(tarfile.PAX_FORMAT))

    def _end(self, size: int) -> None:
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))


def members(file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name of each member after the manifest and its content, to be read before the next.

    Raises ArchiveError, at the latest at the end of an incomplete archive.
    """
    name = None
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            while member := tar.next():
                tar.members.clear()  # type: ignore[attr-defined]  # tarfile remembers them all
                content = tar.extractfile(member)
                if content is None or (name is None and (member.name != FIRST or rows(content) != [MANIFEST])):
                    raise ArchiveError
                name = member.name
                if name != FIRST:
                    yield name, content
    except tarfile.TarError as error:
        raise ArchiveError(TRUNCATED if name else None) from error
    if name != LAST:
        raise ArchiveError("The archive is truncated: its totals are missing")


def rows(content: IO[bytes]) -> list[dict[str, Any]]:
    """Return the rows of a member. Raises ArchiveError."""
    try:
        found = [json.loads(line) for line in b"".join(pieces(content)).splitlines()]
    except (ValueError, RecursionError) as error:
        raise ArchiveError(UNREADABLE_ROWS) from error
    if not all(isinstance(row, dict) for row in found):
        raise ArchiveError(UNREADABLE_ROWS)
    return found


def pieces(content: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of a member. Raises ArchiveError."""
    try:
        while piece := content.read(PIECE):
            yield piece
    except tarfile.TarError as error:
        raise ArchiveError(TRUNCATED) from error
