"""A file as the form that the service takes."""

import asyncio
import base64
import errno
import io
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

import aiohttp

from kt_images.client.connection import Connection
from kt_images.client.errors import ClientError
from kt_images.client.images import Image

PIECE = 2**18  # bytes of a file that are read and sent at once

Source = str | Path | bytes
Progress = Callable[[int], None]


class OnDuplicate(StrEnum):
    """What an upload does if the service holds its bytes already."""

    CREATE = "create"
    """It makes another image."""
    REJECT = "reject"
    """It is refused with status 409."""
    MERGE_TAGS = "merge_tags"
    """The image that has these bytes gets the upload's tags, and is the answer."""


class Uploaded(NamedTuple):
    """The image that holds the bytes, and whether it is new."""

    image: Image
    is_new: bool


def nothing(_: int) -> None:
    """Ignore progress."""


@asynccontextmanager
async def sent(
    connection: Connection,
    path: str,
    source: Source,
    filename: str,
    progress: Progress,
    *,
    tags: Iterable[str] = (),
    sha256: str | None = None,
    query: dict[str, str] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send the file once and give the answer.

    With `sha256` the service compares it with the bytes that arrive. `progress` gets the number of bytes each time some
    are sent, and a negative number if they must be sent again. Raises OSError, and ClientError as `Connection.answer`,
    and for names that cannot be sent.
    """
    with _opened(source) as file:
        form = _Form(file, filename, tags, progress)
        headers = form.headers
        if sha256:
            headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
        try:
            async with connection.answer("POST", path, params=query, headers=headers, data=form.pieces()) as response:
                yield response
        except BaseException:
            progress(-form.sent)
            raise


class _Form:
    """A form with a file and its tags (RFC 7578), which counts the bytes of the file that are `sent`.

    aiohttp has a writer too, but it asks a thread four times and the kernel five times for a file of a few kilobytes.
    """

    def __init__(self, file: BinaryIO, filename: str, tags: Iterable[str], progress: Progress) -> None:
        boundary = secrets.token_hex(16)
        self._file, self._progress, self.sent = file, progress, 0
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        parts = [f"{_part(boundary, 'tags')}\r\n\r\n{tag}\r\n" for tag in tags]
        parts.append(f"{_part(boundary, 'image')}; filename={_quoted(filename)}\r\n")
        parts.append("Content-Type: application/octet-stream\r\n\r\n")
        self._before, self._after = _encoded("".join(parts)), f"\r\n--{boundary}--\r\n".encode()
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._before) + self._size + len(self._after)),
        }

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the form; a small file is one piece. Raises OSError if the file has become shorter."""
        before, rest = self._before, self._size
        while rest > PIECE:
            piece = await asyncio.to_thread(self._read, PIECE)
            yield before + piece
            self._count(PIECE)
            before, rest = b"", rest - PIECE
        yield before + self._read(rest) + self._after  # which takes less time than to ask a thread for it
        self._count(rest)

    def _read(self, size: int) -> bytes:
        piece = self._file.read(size)
        if len(piece) < size:
            raise OSError(errno.EIO, "The file has become shorter while it was sent")
        return piece

    def _count(self, size: int) -> None:
        self.sent += size
        self._progress(size)


def _opened(source: Source) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def _part(boundary: str, name: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'


def _quoted(filename: str) -> str:
    """Return a name as it stands in a header. Raises ClientError for one that would end the header."""
    if set(filename) & {"\r", "\n", "\0"}:
        raise ClientError(f"The name {filename!r} is malformed: it has control characters")
    return '"' + filename.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ClientError("The name or a tag is malformed: UTF-8 cannot encode it") from error
