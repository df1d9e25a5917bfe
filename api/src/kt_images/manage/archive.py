"""The archive of a backup: a plain tar, written and read as a stream.

    manifest.ndjson                 {"format": "kt-images", "version": 1}
    images/00000001.ndjson          rows of images, one a line
    objects/019/19-….jpg            an object; each precedes its row
    attachments/00000009.ndjson     the rows of the objects since the last such member
    totals.ndjson                   how many of each there are: the proof that nothing is missing

A member holds some hundreds of rows, and the writer holds no more than one member's. Whoever reads an archive does not
know who made it: only what a writer writes is read, in pieces of a bounded size.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import IO, Any

from kt_images.errors import KtImagesError

TRUNCATED = "The archive is truncated or damaged"
UNREADABLE_ROWS = "The archive is damaged: its rows cannot be read"

MANIFEST = {"format": "kt-images", "version": 1}
FIRST, LAST = "manifest.ndjson", "totals.ndjson"
IMAGES, OBJECTS, ATTACHMENTS = "images/", "objects/", "attachments/"

PIECE = 2**18
# In bytes: several times what the longest filename and 64 tags take, however their characters are written.
LONGEST_LINE = 2**17
LARGE = re.compile(rb"[0-9]{1,2} size=([0-9]{1,19})\n")


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


class Content:
    """The content of a member, to be read once, before the next member."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self.size = file, size

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes. Raises ArchiveError if some are missing."""
        rest = self.size
        while rest:
            piece = _read(self._file, min(PIECE, rest))
            rest -= len(piece)
            yield piece
        _read(self._file, -self.size % tarfile.BLOCKSIZE)

    def lines(self) -> Iterator[list[bytes]]:
        """Yield the lines, as many at a time as a piece has. Raises ArchiveError, also for one that is too long."""
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            if max(map(len, [*whole, rest])) > LONGEST_LINE:
                raise ArchiveError(UNREADABLE_ROWS)
            yield whole
        yield [rest] if rest else []


def members(file: IO[bytes]) -> Iterator[tuple[str, Content]]:
    """Yield the name of each member after the manifest and its content, which has to be read before the next.

    Raises ArchiveError, at the latest at the end of an incomplete archive.
    """
    name, content = _member(file)
    if name != FIRST or content.size > LONGEST_LINE or _json(b"".join(content.pieces())) != MANIFEST:
        raise ArchiveError
    while name != LAST:
        name, content = _member(file, TRUNCATED)
        yield name, content
    if any(file.read(tarfile.BLOCKSIZE)):
        raise ArchiveError("The archive is damaged: it continues after its totals")


def _member(file: IO[bytes], otherwise: str | None = None) -> tuple[str, Content]:
    """Read a member's header; raise ArchiveError, with that sentence, where there is none of a kind that is written."""
    header, size = _header(file, otherwise), None
    if header.type == tarfile.XHDTYPE and header.size <= tarfile.BLOCKSIZE:
        # Of all that such a header can say, only the size of a very large object.
        found = LARGE.fullmatch(b"".join(Content(file, header.size).pieces()))
        header, size = _header(file, otherwise), int(found[1]) if found else -1
    size = header.size if size is None else size
    if header.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or size < 0:
        raise ArchiveError(otherwise and "The archive is damaged: it contains something other than plain files")
    return header.name, Content(file, size)


def _header(file: IO[bytes], otherwise: str | None) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "replace")
    except tarfile.TarError as error:
        raise ArchiveError(otherwise) from error


def _read(file: IO[bytes], size: int) -> bytes:
    """Read that many bytes. Raises ArchiveError if there are fewer."""
    found = file.read(size)
    if len(found) < size:
        raise ArchiveError(TRUNCATED)
    return found


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ArchiveError from error
