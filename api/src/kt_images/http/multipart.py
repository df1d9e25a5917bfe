"""A multipart/form-data body on the wire (RFC 7578), read as it comes, every piece of it bounded.

Not aiohttp's reader: 20,000 tiny parts keep that one busy for 1.5 seconds, a preamble of line ends for as long as it
lasts, and it drops characters of file names.
"""

import asyncio
import re
from dataclasses import dataclass
from email.message import Message

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from kt_images.errors import InvalidRequestError, StalledError

MAX_PARTS = 256
# Bytes of one part's headers, of what stands before the first part, and of what stands behind the last.
MAX_AROUND = 8 * 1024
# Bytes that have to come within the time limit.
SLOWEST = 16 * 1024

# How aiohttp fails on a body that breaks its own framing.
UNREADABLE = (ValueError, HttpProcessingError, web.RequestPayloadError)

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(frozen=True)
class Part:
    """What a part's headers say; `filename` is None for one that is no file."""

    name: str
    filename: str | None
    headers: CIMultiDict[str]


class Multipart:
    """The parts of a body, in their order: `next()`, then `piece()` until it is empty, and again.

    Both raise InvalidRequestError for what is no whole form, StalledError for a client that takes longer than
    `patience` seconds for the next bytes.
    """

    def __init__(self, request: web.Request, patience: float) -> None:
        self._source = request.content
        self._delimiter = b"\r\n--" + _boundary(request)
        self._buffer = bytearray(b"\r\n")  # so that the first delimiter looks like the others
        self._count = 0
        self._started = False
        self._patience = self._left = patience
        self._arrived = 0

    async def next(self) -> Part | None:
        """Return the next part; None when the closing boundary was there and the body is at its end."""
        if not self._started:
            await self._until(self._delimiter)
            self._started = True
        while len(self._buffer) < 2:  # noqa: PLR2004 (the two dashes of the closing boundary)
            await self._fill()
        if self._buffer.startswith(b"--"):
            await self._end()
            return None
        self._count += 1
        if self._count > MAX_PARTS:
            raise InvalidRequestError(f"The form has more than {MAX_PARTS} parts")
        return _part(await self._until(b"\r\n\r\n"))

    async def piece(self) -> bytes:
        """Return the bytes of the part that have come; none at its end."""
        while True:
            end = self._buffer.find(self._delimiter)
            if end == 0:
                del self._buffer[: len(self._delimiter)]
                return b""
            if end < 0:  # the last bytes may be the beginning of a delimiter
                end = len(self._buffer) - len(self._delimiter) + 1
            if end > 0:
                return self._take(end)
            await self._fill()

    async def _until(self, mark: bytes) -> bytes:
        """Return what stands before `mark`, and leave both behind."""
        while (end := self._buffer.find(mark)) < 0 and len(self._buffer) <= MAX_AROUND:
            await self._fill()
        if not 0 <= end <= MAX_AROUND:
            raise InvalidRequestError("The form's headers, or what stands before its first part, are too long")
        found = self._take(end)
        del self._buffer[: len(mark)]
        return found

    async def _end(self) -> None:
        behind = len(self._buffer)
        while piece := await self._receive():
            behind += len(piece)
            if behind > MAX_AROUND:
                raise InvalidRequestError("Too much stands behind the form's last part")

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _fill(self) -> None:
        piece = await self._receive()
        if not piece:
            raise InvalidRequestError("The form is not whole: its closing boundary is missing")
        self._buffer += piece

    async def _receive(self) -> bytes:
        """Return what has come, within what is left of the patience; only the waiting counts."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self._left):
                piece = await self._source.readany()
        except TimeoutError:
            raise StalledError from None
        except UNREADABLE as error:
            raise InvalidRequestError("The body cannot be read") from error
        self._left -= loop.time() - started
        self._arrived += len(piece)
        if self._arrived >= SLOWEST:
            self._arrived, self._left = 0, self._patience
        return piece


def _boundary(request: web.Request) -> bytes:
    header = Message()
    header[hdrs.CONTENT_TYPE] = request.headers.get(hdrs.CONTENT_TYPE, "")
    boundary = header.get_boundary("")
    if header.get_content_type() != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequestError("The body must be multipart/form-data, with a boundary")
    return boundary.encode()


def _part(head: bytes) -> Part:
    """Read a part's headers; before the first stands what is left of the boundary's line."""
    try:
        rest, *lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise InvalidRequestError("The headers of a part are not UTF-8") from None
    found = [_HEADER.fullmatch(line) for line in lines]
    if rest.strip(" \t") or None in found:
        raise InvalidRequestError("The headers of a part cannot be understood")
    headers = CIMultiDict((header[1], header[2].strip()) for header in found if header)
    disposition = Message()
    disposition[hdrs.CONTENT_DISPOSITION] = headers.get(hdrs.CONTENT_DISPOSITION, "")
    name = disposition.get_param("name", header=hdrs.CONTENT_DISPOSITION)
    if disposition.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise InvalidRequestError("Each part of the form needs a Content-Disposition with a name")
    return Part(name, disposition.get_filename(), headers)
