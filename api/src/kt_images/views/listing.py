"""A list on the wire: chunk by chunk, as fast as the client reads."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from http import HTTPMethod

from aiohttp import hdrs, web
from pydantic import BaseModel

from kt_images import metrics
from kt_images.database.cursor import Query
from kt_images.database.pool import Pool
from kt_images.database.stream import Chunk, Pace, at_once, chunks
from kt_images.errors import UnavailableError
from kt_images.http.sockets import break_when_stalled, keep_little_ready
from kt_images.views import app_keys
from kt_images.views.base import View
from kt_images.views.spool import spooled


@dataclass(frozen=True)
class Format:
    """How a list is written: what surrounds it, each chunk, and what separates rows."""

    media_type: str
    start: str
    before: str
    separator: str
    after: str
    end: str

    def chunk(self, documents: list[str]) -> bytes:
        """Render some rows, which are JSON texts."""
        return f"{self.before}{self.separator.join(documents)}{self.after}".encode()

    def totals(self, totals: BaseModel) -> bytes:
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
    view: View, pool: Pool, query: Query, proof: Callable[[int, int], BaseModel], of_one_moment: bool = False
) -> web.StreamResponse:
    """Send the query's rows in chunks, then the totals: what `proof` makes of the numbers of rows and of chunks.

    The status is sent once the first chunk is read, so that a failing query is still answered with an error. A later
    failure breaks the connection, as does a client that reads nothing for too long. `of_one_moment`: the rows are read
    to the end before the first is sent, because in their order no list can go on after a row. Raises
    UnavailableError and TooSlowError.
    """
    written, settings, places = format_for(view.request), view.settings, view.request.app[app_keys.STREAMS]
    pace = Pace(settings.chunk_size, lease=settings.stream_lease, patience=settings.stream_patience)
    if places.locked():
        raise UnavailableError("Too many lists are being sent; please try again")
    async with places, AsyncExitStack() as stack:
        stack.enter_context(metrics.LISTS_RUNNING.track_inprogress())
        if of_one_moment:
            rows = await stack.enter_async_context(aclosing(at_once(pool, query, written.chunk, pace.size)))
            stream = await stack.enter_async_context(aclosing(spooled(rows)))
        else:
            stream = await stack.enter_async_context(aclosing(chunks(pool, query, written.chunk, pace)))
        return await _send(view.request, stream, written, settings.send_timeout, proof)


async def _send(
    request: web.Request,
    chunks: AsyncGenerator[Chunk, None],
    written: Format,
    send_timeout: float,
    proof: Callable[[int, int], BaseModel],
) -> web.StreamResponse:
    chunk = await anext(chunks, None)
    response = web.StreamResponse(headers={"Content-Type": written.media_type, "Vary": "Accept"})
    keep_little_ready(request)
    break_when_stalled(request, send_timeout)
    await response.prepare(request)
    if request.method == HTTPMethod.HEAD:
        return response
    rows = count = 0
    await response.write(written.start.encode())
    while chunk:
        rows += chunk.count
        count += 1
        await response.write(chunk.body)
        metrics.LIST_ROWS.inc(chunk.count)
        metrics.LIST_BYTES.inc(len(chunk.body))
        chunk = await anext(chunks, None)
    await response.write_eof(written.totals(proof(rows, count)))
    return response
