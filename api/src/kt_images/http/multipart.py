"""A multipart/form-data body on the wire (RFC 7578), read as it arrives; everything in it is bounded.

aiohttp has a reader too, but 20,000 tiny parts keep it busy for 1.5 seconds, a preamble of line ends for as long as the
preamble lasts, and it drops characters of file names.
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
# Bytes of one part's headers, of the preamble before the first part, and of the epilogue after the last.
MAX_AROUND = 8 * 1024
# Bytes that have to arrive within the time limit.
SLOWEST = 16 * 1024

# How aiohttp fails on a body whose framing is broken.
UNREADABLE = (ValueError, HttpProcessingError, web.RequestPayloadError)

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(frozen=True)
class Part:
    """What a part's headers say; `filename` is None for a text field."""

    name: str
    filename: str | None
    headers: CIMultiDict[str]


class Multipart:
    """The parts of a body in their order: call `next()`, then `read()` until it returns no bytes, and again.

    Both raise InvalidRequestError for a malformed or truncated form, and StalledError when 16 KiB take longer than
    `patience` seconds.
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
        """Return the next part, or None at the end of the body, after the closing boundary."""
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
            raise InvalidRequestError(f"The form has more than {MAX_PARTS} fields; send fewer")
        return _part(await self._until(b"\r\n\r\n"))

    async def read(self) -> bytes:
        """Return the bytes of the part that have arrived; no bytes at its end."""
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
        """Return the bytes before `mark`; drop both from the buffer."""
        while (end := self._buffer.find(mark)) < 0 and len(self._buffer) <= MAX_AROUND:
            await self._fill()
        if not 0 <= end <= MAX_AROUND:
            raise InvalidRequestError("The headers of a field of the form are longer than 8 KiB")
        before = self._take(end)
        del self._buffer[: len(mark)]
        return before

    async def _end(self) -> None:
        epilogue = len(self._buffer)
        while received := await self._receive():
            epilogue += len(received)
            if epilogue > MAX_AROUND:
                raise InvalidRequestError("The body continues after the end of the form")

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _fill(self) -> None:
        received = await self._receive()
        if not received:
            raise InvalidRequestError("The form is truncated: its closing boundary is missing")
        self._buffer += received

    async def _receive(self) -> bytes:
        """Return the bytes that have arrived, within what is left of the patience; only waiting counts."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self._left):
                received = await self._source.readany()
        except TimeoutError:
            raise StalledError from None
        except UNREADABLE as error:
            raise InvalidRequestError("The body cannot be read: its chunks are malformed") from error
        self._left -= loop.time() - started
        self._arrived += len(received)
        if self._arrived >= SLOWEST:
            self._arrived, self._left = 0, self._patience
        return received


def _boundary(request: web.Request) -> bytes:
    header = Message()
    header[hdrs.CONTENT_TYPE] = request.headers.get(hdrs.CONTENT_TYPE, "")
    boundary = header.get_boundary("")
    if header.get_content_type() != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequestError("Send the file as multipart/form-data, as in curl -F image=@photo.jpg")
    return boundary.encode()


def _part(head: bytes) -> Part:
    """Parse a part's headers; before them is the rest of the boundary's line."""
    try:
        rest, *lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise InvalidRequestError("The headers of a field of the form are not UTF-8") from None
    parsed = [_HEADER.fullmatch(line) for line in lines]
    if rest.strip(" \t") or None in parsed:
        raise InvalidRequestError("The headers of a field of the form cannot be parsed")
    headers = CIMultiDict((header[1], header[2].strip()) for header in parsed if header)
    disposition = Message()
    disposition[hdrs.CONTENT_DISPOSITION] = headers.get(hdrs.CONTENT_DISPOSITION, "")
    name = disposition.get_param("name", header=hdrs.CONTENT_DISPOSITION)
    if disposition.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise InvalidRequestError("Each field of the form needs a Content-Disposition: form-data with a name")
    return Part(name, disposition.get_filename(), headers)
