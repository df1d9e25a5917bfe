"""A list on the wire: chunk by chunk, as fast as the client reads."""

import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPMethod

from aiohttp import web

from kt_images.database.stream import Chunk
from kt_images.models import Totals

# More would only fill with bytes that a slow client has not asked for yet.
SEND_BUFFER = 64 * 1024


@dataclass(frozen=True)
class Format:
    """How a list looks: what stands before and after it, around each chunk, and between images."""

    media_type: str
    start: bytes
    before: bytes
    separator: str
    after: bytes
    end: bytes


JSON_CHUNKS = Format("application/json", start=b"[", before=b"[", separator=",", after=b"],", end=b"]")
NDJSON = Format("application/x-ndjson", start=b"", before=b"", separator="\n", after=b"\n", end=b"\n")


def wanted_format(request: web.Request) -> Format:
    """Return the format that the client accepts; chunks in JSON unless it names the other."""
    return NDJSON if NDJSON.media_type in request.headers.get("Accept", "") else JSON_CHUNKS


async def send(request: web.Request, chunks: AsyncGenerator[Chunk, None], form: Format) -> web.StreamResponse:
    """Send the chunks, then the totals.

    The first chunk is there before the status is sent: a failing query is still an error with a status. A failure later
    on breaks the connection.
    """
    chunk = await anext(chunks, None)
    response = web.StreamResponse(headers={"Content-Type": form.media_type, "Vary": "Accept"})
    _limit_send_buffer(request)
    await response.prepare(request)
    if request.method == HTTPMethod.HEAD:
        return response
    totals = Totals(totalImages=0, totalChunks=0)
    opening = form.start
    while chunk:
        await response.write(b"".join((opening, form.before, chunk.documents, form.after)))
        opening = b""
        totals.totalImages += chunk.count
        totals.totalChunks += 1
        chunk = await anext(chunks, None)
    await response.write_eof(opening + totals.model_dump_json().encode() + form.end)
    return response


def _limit_send_buffer(request: web.Request) -> None:
    if request.transport and (connection := request.transport.get_extra_info("socket")):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
