"""A list on the wire: chunk by chunk, as fast as the client reads."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPMethod

from aiohttp import hdrs, web

from kt_images.database.stream import Chunk
from kt_images.http.sockets import break_when_stalled, keep_little_ready
from kt_images.models import Totals


@dataclass(frozen=True)
class Format:
    """How a list is written: what surrounds it, each chunk, and what separates images."""

    media_type: str
    start: str
    before: str
    separator: str
    after: str
    end: str

    def chunk(self, documents: list[str]) -> bytes:
        """Render some images' JSON texts."""
        return f"{self.before}{self.separator.join(documents)}{self.after}".encode()

    def totals(self, totals: Totals) -> bytes:
        """Render the end of the list."""
        return f"{totals.model_dump_json()}{self.end}".encode()


JSON_CHUNKS = Format("application/json", start="[", before="[", separator=",", after="],", end="]")
NDJSON = Format("application/x-ndjson", start="", before="", separator="\n", after="\n", end="\n")


def format_for(request: web.Request) -> Format:
    """Return NDJSON if the client accepts it by name, else chunks in JSON."""
    for accepted in ",".join(request.headers.getall(hdrs.ACCEPT, [])).lower().split(","):
        media_type, *parameters = (part.strip() for part in accepted.split(";"))
        if media_type == NDJSON.media_type and not any(re.fullmatch(r"q=0(\.0*)?", one) for one in parameters):
            return NDJSON
    return JSON_CHUNKS


async def send(
    request: web.Request, chunks: AsyncGenerator[Chunk, None], written: Format, send_timeout: float
) -> web.StreamResponse:
    """Send the chunks, then the totals.

    The status is sent once the first chunk is read, so that a failing query is still answered with an error. A later
    failure breaks the connection, as does a client that reads nothing for `send_timeout` seconds.
    """
    chunk = await anext(chunks, None)
    response = web.StreamResponse(headers={"Content-Type": written.media_type, "Vary": "Accept"})
    keep_little_ready(request)
    break_when_stalled(request, send_timeout)
    await response.prepare(request)
    if request.method == HTTPMethod.HEAD:
        return response
    totals = Totals(totalImages=0, totalChunks=0)
    await response.write(written.start.encode())
    while chunk:
        totals.totalImages += chunk.count
        totals.totalChunks += 1
        await response.write(chunk.body)
        chunk = await anext(chunks, None)
    await response.write_eof(written.totals(totals))
    return response
