"""The file of a multipart/form-data body, as it comes."""

from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from kt_images.errors import InvalidRequestError, TooLargeError, UnsupportedMediaTypeError

PIECE = 64 * 1024
# Boundaries, the part's headers, a preamble: what a body has beside the file.
ENVELOPE = 64 * 1024
# How aiohttp's reader fails on what a client sent.
UNREADABLE = (ValueError, LookupError, RuntimeError, AssertionError, HttpProcessingError, web.RequestPayloadError)

T = TypeVar("T")


async def file_pieces(request: web.Request, field: str, max_size: int) -> AsyncIterator[bytes]:
    """Yield the bytes of the body's one part, named `field`; end only when the closing boundary was there.

    Raises InvalidRequestError, UnsupportedMediaTypeError for a compressed body, TooLargeError when the body's declared
    length is beyond `max_size`. What comes undeclared is for the reader of the pieces to count.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise UnsupportedMediaTypeError("A file is uploaded without Content-Encoding")
    if (request.content_length or 0) > max_size + ENVELOPE:
        raise TooLargeError(f"The file is larger than {max_size} bytes")
    reader = await _read(_reader(request))
    part = await _read(reader.next())
    if not isinstance(part, BodyPartReader) or part.name != field:
        raise InvalidRequestError(f"The body's first part must be the file, named {field}")
    if part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower() not in {"binary", "8bit", "7bit"}:
        raise UnsupportedMediaTypeError("A file is uploaded without Content-Transfer-Encoding")
    while piece := await _read(part.read_chunk(PIECE)):
        yield piece
    if await _read(reader.next()) is not None:
        raise InvalidRequestError(f"The body has one part, the file named {field}")


async def _reader(request: web.Request) -> MultipartReader:
    if request.content_type != "multipart/form-data":
        raise ValueError
    return await request.multipart()


async def _read(step: Awaitable[T]) -> T:
    try:
        return await step
    except UNREADABLE as error:
        raise InvalidRequestError("The body is not a whole multipart/form-data body") from error
