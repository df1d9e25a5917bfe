"""Every failure as an answer: one table from our errors to statuses, one body."""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import pydantic
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

from kt_images import errors
from kt_images.models import Error, ErrorDetail

logger = logging.getLogger(__name__)

# The first class that an error is an instance of decides.
STATUSES: tuple[tuple[type[errors.KtImagesError], HTTPStatus], ...] = (
    (errors.NotFoundError, HTTPStatus.NOT_FOUND),
    (errors.InvalidRequestError, HTTPStatus.BAD_REQUEST),
    (errors.StalledError, HTTPStatus.REQUEST_TIMEOUT),
    (errors.DuplicateError, HTTPStatus.CONFLICT),
    (errors.PreconditionFailedError, HTTPStatus.PRECONDITION_FAILED),
    (errors.UnsatisfiableRangeError, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    (errors.DamagedStoreError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.UnsupportedMediaTypeError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (errors.UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.SchemaError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.OtherStoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.TooSlowError, HTTPStatus.GATEWAY_TIMEOUT),
    (errors.DiskFullError, HTTPStatus.INSUFFICIENT_STORAGE),
)

# What aiohttp refuses by itself; its own texts repeat the input.
SENTENCES = {
    HTTPStatus.BAD_REQUEST: errors.InvalidRequestError.sentence,
    HTTPStatus.NOT_FOUND: "There is no such URL",
    HTTPStatus.METHOD_NOT_ALLOWED: "This URL does not take this method; the header Allow names those it takes",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.EXPECTATION_FAILED: "The header Expect takes 100-continue only",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed; what happened is in its log",
}

LONGEST_LOC = 64  # characters of a client's own key that an answer repeats
RETRY_AFTER_SECONDS = 1


class ValidationFailedError(errors.InvalidRequestError):
    """Some fields of a request are not what the contract asks for."""

    def __init__(self, details: list[ErrorDetail]) -> None:
        self.details = details
        first = details[0]
        where = ".".join(str(part) for part in first.loc)
        super().__init__(f"{first.in_} {where}: {first.msg}" if where else f"{first.in_}: {first.msg}")

    @classmethod
    def of(cls, error: pydantic.ValidationError, part: str) -> "ValidationFailedError":
        found = error.errors(include_input=False, include_url=False, include_context=False)
        return cls([detail(part, one["loc"], one["msg"]) for one in found])


def detail(part: str, loc: Iterable[str | int], msg: str) -> ErrorDetail:
    """Say what is wrong with the field `loc` of a `part` of the request."""
    return ErrorDetail.model_validate({"in": part, "loc": [_printable(place) for place in loc], "msg": msg})


def _printable(place: str | int) -> str | int:
    if isinstance(place, int):
        return place
    return "".join(c if c.isprintable() else "?" for c in place[:LONGEST_LOC])


def answer(status: int, sentence: str, details: list[ErrorDetail] | None = None) -> web.Response:
    """Return the one shape of an error."""
    body = Error(error=sentence, details=details).model_dump_json(by_alias=True, exclude_none=True)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)


def status_of(error: errors.KtImagesError) -> HTTPStatus:
    """Look the error up in the table."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into an answer, unless bytes of another answer are out already."""
    try:
        return await handler(request)
    except errors.KtImagesError as error:
        _raise_if_begun(request)
        response = answer(status_of(error), str(error), getattr(error, "details", None))
        if isinstance(error, errors.UnsatisfiableRangeError):
            response.headers["Content-Range"] = f"bytes */{error.size}"
        if isinstance(error, errors.DuplicateError):
            response.headers["Location"] = f"/images/{error.image_id}"
        if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.exception("%s %s", request.method, request.rel_url.raw_path)
        return response
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        status = HTTPStatus(error.status)
        response = answer(status, SENTENCES.get(status, status.phrase))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except ConnectionError:
        raise
    except Exception:
        _raise_if_begun(request)
        logger.exception("%s %s", request.method, request.rel_url.raw_path)
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, SENTENCES[HTTPStatus.INTERNAL_SERVER_ERROR])


def _raise_if_begun(request: web.Request) -> None:
    """Raise again once bytes are out: the connection breaks, so that nobody takes half an answer for a whole one."""
    if request.writer.output_size > 0:
        raise  # noqa: PLE0704 (called from an except clause)


def make_safe(response: web.StreamResponse) -> None:
    """Have no browser run what somebody uploaded, whatever it is."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; sandbox")


async def on_expect(request: web.Request) -> web.StreamResponse | None:
    """Have a client that asks for it send its body; aiohttp looks at this header before any middleware."""
    if request.version < HttpVersion11:
        return None
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        return answer(HTTPStatus.EXPECTATION_FAILED, SENTENCES[HTTPStatus.EXPECTATION_FAILED])
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0
    return None


class Protocol(RequestHandler):
    """aiohttp's protocol, with our body for requests that it cannot even parse."""

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):
            raise exc  # the client has left
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("%s %s", request.method, request.rel_url.raw_path, exc_info=exc)
        else:
            logger.debug("A request that is none from %s: %s", request.remote, message)
        if request.writer.output_size > 0:
            raise ConnectionResetError("An answer has begun: no other may follow it")
        response = answer(status, SENTENCES.get(HTTPStatus(status), HTTPStatus(status).phrase))
        make_safe(response)
        response.force_close()
        return response
