"""The archive of a backup: a plain tar, written and read as a stream.

    manifest.ndjson                 {"format": "kt-images", "version": 1}
    images/00000001.ndjson          rows of images, one a line
    objects/019/19-….jpg            a file; each comes before its row
    attachments/00000009.ndjson     the rows of the files since the last such member
    totals.ndjson                   how much there is of everything: the proof that nothing is missing

Rows come some hundreds in a member, so that neither side holds more than that.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

from kt_images.errors import KtImagesError

UNREADABLE_ROWS = "The archive is damaged: its rows cannot be read"

MANIFEST = {"format": "kt-images", "version": 1}
FIRST, LAST = "manifest.ndjson", "totals.ndjson"
IMAGES, OBJECTS, ATTACHMENTS = "images/", "objects/", "attachments/"

PIECE = 2**20


class ArchiveError(KtImagesError):
    """The archive is none, or not whole."""

    sentence = "This is no backup of kt-images"


class Writer:
    """Writes an archive to a file that need not be seekable."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._members = file, 0
        self._rows(FIRST, [MANIFEST])

    def rows(self, folder: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows of images or attachments."""
        self._members += 1
        self._rows(f"{folder}{self._members:08}.ndjson", rows)

    def file(self, key: str, size: int, content: IO[bytes]) -> str:
        """Add a file; return the SHA-256 of what was read. Raises OSError when it has less than `size` bytes."""
        digest, left = hashlib.sha256(), size
        self._begin(OBJECTS + key, size)
        while left:
            piece = content.read(min(PIECE, left))
            if not piece:
                raise OSError(f"The file {key} ended before its end")
            digest.update(piece)
            self._file.write(piece)
            left -= len(piece)
        self._end(size)
        return digest.hexdigest()

    def end(self, totals: dict[str, int]) -> None:
        """Add the totals, without which the archive is not whole."""
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

    Raises ArchiveError, at the latest at the end of one that is not whole.
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
        raise ArchiveError("The archive is cut off or damaged" if name else None) from error
    if name != LAST:
        raise ArchiveError("The archive is cut off: its totals are missing")


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
        raise ArchiveError("The archive is cut off or damaged") from error
