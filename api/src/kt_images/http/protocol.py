"""aiohttp's protocol, with the service's own answers to what it refuses before any middleware."""

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web, web_server
from aiohttp.web_protocol import RequestHandler

from kt_images.http import problems, safety

logger = logging.getLogger(__name__)


class Protocol(RequestHandler):
    """Answers errors that no middleware sees as all others are answered."""

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer bytes that are not an HTTP request."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client has left
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("%s %s", request.method, request.rel_url.raw_path, exc_info=exc)
        else:
            logger.debug("Not an HTTP request, from %s: %s", request.remote, message)
        if request.writer.output_size > 0:
            raise ConnectionResetError("Part of an answer is sent; no other can follow it")
        response = problems.answer(HTTPStatus(status))
        safety.add_headers(response)
        response.force_close()
        return response

    async def finish_response(
        self, request: Any, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, in the one shape of errors if aiohttp refuses the request, as for an unknown Expect."""
        if isinstance(resp, web.HTTPException) and not problems.is_redirect(resp):
            resp = problems.answer_to(resp)
        return await super().finish_response(request, resp, start_time)


def install() -> None:
    """Make every server use this protocol: aiohttp has no hook for these answers."""
    web_server.RequestHandler = Protocol  # type: ignore[attr-defined]  # not exported, but looked up there
