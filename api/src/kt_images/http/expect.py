"""The header Expect (RFC 9110, section 10.1.1): a client asks whether it may send its body."""

from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web

from kt_images.http.problems import answer


async def on_expect(request: web.Request) -> web.StreamResponse | None:
    """Let the client send its body, or refuse an expectation that isn't known. aiohttp asks before any middleware."""
    if request.version < HttpVersion11:
        return None
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        return answer(HTTPStatus.EXPECTATION_FAILED)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # no byte of the answer is out yet
    return None
