"""The header Expect (RFC 9110, section 10.1.1): a client asks whether it may send its body."""

from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from kt_images.http.problems import answer


async def on_expect(request: web.Request) -> web.StreamResponse | None:
    """Refuse an expectation that isn't known. aiohttp asks before any middleware, too early to say more."""
    if request.version < HttpVersion11 or request.headers[hdrs.EXPECT].lower() == "100-continue":
        return None
    return answer(HTTPStatus.EXPECTATION_FAILED)


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the client send its body, now that no middleware refuses the request."""
    is_asked = hdrs.EXPECT in request.headers and request.version >= HttpVersion11
    # None of a plain handler, which is found for its one method only.
    methods = getattr(request.match_info.handler, "allowed_methods", None)
    is_refused = request.match_info.http_exception or (methods is not None and request.method not in methods)
    if is_asked and not is_refused:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # no byte of the answer is out yet
    return await handler(request)
