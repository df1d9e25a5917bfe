"""What is kept of each request, whoever answers it: its id, its line in the log, and its part in the metrics."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from aiohttp import web
from multidict import istr
from prometheus_client import Histogram

from kt_images import logs, metrics

REQUEST_ID = istr("X-Request-ID")
# Of a client or of a proxy in front; any other is replaced.
SANE = re.compile("[A-Za-z0-9._-]{1,64}")

# The key that a request was made with, for the log: its id, never its secret.
KEY_ID = web.RequestKey("key_id", str)

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# For all other methods; for all URLs that there are not; for bytes that are no request.
OTHER, UNKNOWN, UNREADABLE = "other", "unknown", "unreadable"

# How an answer ended: with its last byte, with the client's leaving, or because the service could not go on.
COMPLETE, LEFT, BROKEN = "complete", "left", "broken"
# As nginx writes a request whose client went before it was answered.
CLIENT_CLOSED_REQUEST = 499

LINE = "%(method)s %(path)s %(status)d %(outcome)s %(bytes)d %(seconds).4f %(key)s %(client)s"


class BrokenAnswerError(ConnectionResetError):
    """Part of an answer is sent, and the rest cannot follow: the connection has to break."""


@dataclass(slots=True)
class Watched:
    """A request's id, and the status of its answer once that has begun."""

    id: str
    status: int = 0


WATCHED = web.RequestKey("watched", Watched)

# By method, route and status, of each of which there are few.
_children: dict[tuple[str, str, str], Histogram] = {}


def new_id() -> str:
    """Return an id that no other request has."""
    return os.urandom(8).hex()


def describe(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Note the status of an answer that begins, and tell the client the request's id."""
    watched = request[WATCHED]
    watched.status = response.status
    response.headers[REQUEST_ID] = watched.id


async def watch(
    request: web.BaseRequest, answering: Awaitable[tuple[web.StreamResponse, bool]]
) -> tuple[web.StreamResponse, bool]:
    """Have a request answered; it is one task from its first to its last byte.

    The answer comes with whether its client has left.
    """
    started, outcome = time.perf_counter(), BROKEN
    given = request.headers.get(REQUEST_ID)
    watched = Watched(given if given and SANE.fullmatch(given) else new_id())
    request[WATCHED] = watched
    logs.request_id.set(watched.id)
    metrics.IN_FLIGHT.inc()
    try:
        answer = await answering
        outcome = LEFT if answer[1] else COMPLETE
    except BrokenAnswerError:
        raise
    except (ConnectionError, asyncio.CancelledError):
        if request.transport is None or request.transport.is_closing():
            outcome = LEFT
        raise
    finally:
        metrics.IN_FLIGHT.dec()
        _account(request, watched.status or CLIENT_CLOSED_REQUEST, outcome, time.perf_counter() - started)
    return answer


def _account(request: web.BaseRequest, status: int, outcome: str, seconds: float) -> None:
    method = request.method if request.method in METHODS else OTHER
    route, sent = _route(request), request.writer.output_size
    series = (method, route, str(status) if outcome == COMPLETE else outcome)
    if (child := _children.get(series)) is None:
        child = _children[series] = metrics.REQUEST_SECONDS.labels(*series)
    child.observe(seconds)
    metrics.SENT_BYTES.inc(sent)
    if logs.access.isEnabledFor(logs.EACH_REQUEST):
        line = {
            "method": method,
            "path": route,
            "status": status,
            "outcome": outcome,
            "bytes": sent,
            "seconds": round(seconds, 6),
            "key": request.get(KEY_ID, "-"),
            "client": request.remote or "-",
        }
        logs.access.log(logs.EACH_REQUEST, LINE, line)


def _route(request: web.BaseRequest) -> str:
    """Return the template of the request's path."""
    match = getattr(request, "_match_info", None)  # the public attribute fails where there is none
    if match is None:
        return UNREADABLE
    resource = match.route.resource
    return UNKNOWN if resource is None else str(resource.canonical)
