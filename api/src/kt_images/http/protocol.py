"""aiohttp's protocol, with the service's own answer to bytes that are no HTTP request."""

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web, web_server
from aiohttp.web_protocol import RequestHandler

from kt_images.http import safety
from kt_images.http.problems import answer

logger = logging.getLogger(__name__)


class Protocol(RequestHandler):
    """Answers requests that cannot be parsed as every other error is answered; no middleware sees them."""

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):
            raise exc  # the client has left
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("%s %s", request.method, request.rel_url.raw_path, exc_info=exc)
        else:
            logger.debug("Not an HTTP request, from %s: %s", request.remote, message)
        if request.writer.output_size > 0:
            raise ConnectionResetError("Part of an answer has been sent: no other may follow it")
        response = answer(HTTPStatus(status))
        safety.add_headers(response)
        response.force_close()
        return response


def install() -> None:
    """Make every server use this protocol: aiohttp has no hook for these answers."""
    web_server.RequestHandler = Protocol  # type: ignore[attr-defined]  # not exported, but looked up there
