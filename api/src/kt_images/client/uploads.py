"""A file as the form that the service takes."""

import base64
import io
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import aiohttp

from kt_images.client.connection import Connection
from kt_images.client.images import Image

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
    are sent, and a negative number if they must be sent again. Raises OSError, and ClientError as `Connection.answer`.
    """
    headers = {"Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"} if sha256 else {}
    with _opened(source, progress) as file:
        form = aiohttp.FormData(quote_fields=False)
        for tag in tags:
            form.add_field("tags", tag)
        form.add_field("image", file, filename=filename, content_type="application/octet-stream")
        try:
            async with connection.answer("POST", path, params=query, headers=headers, data=form) as response:
                yield response
        except BaseException:
            progress(-file.count)
            raise


class _Watched(io.BufferedReader):
    """A file that reports how many bytes have been read."""

    def __init__(self, raw: io.RawIOBase, progress: Progress) -> None:
        super().__init__(raw)
        self._progress, self.count = progress, 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.count += len(piece)
        self._progress(len(piece))
        return piece


def _opened(source: Source, progress: Progress) -> _Watched:
    raw = io.BytesIO(source) if isinstance(source, bytes) else io.FileIO(source)
    return _Watched(raw, progress)  # type: ignore[arg-type]  # BufferedReader takes BytesIO too
