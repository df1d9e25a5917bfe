"""aiohttp's protocol, with limits on connections, and the service's own answers to what no middleware sees."""

import asyncio
import resource
from http import HTTPStatus
from typing import Any, ClassVar

from aiohttp import web, web_server
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web_protocol import _ErrInfo

from kt_images import metrics
from kt_images.http import problems, safety, watching
from kt_images.http.parsing import TakingTurns
from kt_images.logs import sparing_logger

logger = sparing_logger(__name__)

# For the whole head of a request, from the moment of the connection or from the head's first byte.
HEAD_SECONDS = 10.0
# Descriptors that are not for clients: of the database, of files, of decoders.
RESERVED = 200
UNKNOWN_ENCODING = "The body's Content-Encoding is not supported; send the body as it is"


class Protocol(TakingTurns):
    """A connection. Closes one whose request does not come, and refuses one that is too many.

    Answers errors that no middleware sees as all others are answered.
    """

    _open: ClassVar[int] = 0
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        Protocol._open += 1
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if Protocol._open > descriptors - min(RESERVED, descriptors // 2):
            self._refuse()
        else:
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        Protocol._open -= 1
        self._expect_nothing()
        super().connection_lost(exc)

    def parse_piece(self, piece: bytes) -> None:
        """Parse a piece of a head, which must be complete soon, or of a body, which others watch over."""
        super().parse_piece(piece)
        self._pass_on_errors()
        if self._waiter is None or self._waiter.done():
            self._expect_nothing()
        elif self._limit is None:
            self._expect_head()

    def _pass_on_errors(self) -> None:
        """Tell whoever reads a body that its framing is broken, for which aiohttp would let it wait."""
        request = self._current_request
        if request and self._messages and isinstance(self._messages[-1][0], _ErrInfo) and not request.content.is_eof():
            request.content.set_exception(web.RequestPayloadError("The framing of the body is broken"))

    def _expect_head(self) -> None:
        self._limit = self._loop.call_later(HEAD_SECONDS, self.force_close)

    def _expect_nothing(self) -> None:
        if self._limit:
            self._limit.cancel()
            self._limit = None

    def _refuse(self) -> None:
        """Close the connection with a 503, while there are descriptors for those that are open."""
        metrics.CONNECTIONS_REFUSED.inc()
        logger.warning("More clients than descriptors: %d connections are open", Protocol._open)
        sentence = "The service has too many connections; please try again"
        response = problems.answer(HTTPStatus.SERVICE_UNAVAILABLE, sentence)
        body = str(response.text).encode()
        head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        if isinstance(self.transport, asyncio.Transport):
            rest = f"Retry-After: 1\r\nConnection: close\r\n{watching.REQUEST_ID}: {watching.new_id()}\r\n\r\n"
            self.transport.write(f"{head}{rest}".encode() + body)
        self.force_close()

    async def _handle_request(
        self, request: Any, start_time: float | None, request_handler: Any
    ) -> tuple[web.StreamResponse, bool]:
        """Answer a request. What is kept of it is kept here: whatever it is and whoever answers it, it comes by."""
        return await watching.watch(request, super()._handle_request(request, start_time, request_handler))

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
            raise watching.BrokenAnswerError
        if isinstance(exc, ContentEncodingError):
            response = problems.answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, UNKNOWN_ENCODING)
        else:
            response = problems.answer(HTTPStatus(status))
        safety.add_headers(request, response)
        response.force_close()
        return response

    async def finish_response(
        self, request: Any, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, in the one error format if aiohttp refuses the request, as for an unknown Expect."""
        if isinstance(resp, web.HTTPException) and not problems.is_redirect(resp):
            resp = problems.answer_to(resp)
        if request.content.exception():
            resp.force_close()
            self._lingering_time = 0.0  # there is no rest of the body that could be read and dropped
        return await super().finish_response(request, resp, start_time)


def install() -> None:
    """Make every server use this protocol: aiohttp has no hook for these answers."""
    web_server.RequestHandler = Protocol  # type: ignore[attr-defined]  # not exported, but looked up there
