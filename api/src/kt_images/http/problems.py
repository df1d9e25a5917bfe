"""Every failure as an answer: one table from errors to statuses, one error format."""

import errno
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from kt_images import errors, logs
from kt_images.http.watching import BrokenAnswerError
from kt_images.logs import sparing_logger
from kt_images.models.errors import Error, ErrorDetail

logger = sparing_logger(__name__)

# The first class that an error is an instance of decides.
STATUSES: tuple[tuple[type[errors.KtImagesError], HTTPStatus], ...] = (
    (errors.NotFoundError, HTTPStatus.NOT_FOUND),
    (errors.InvalidRequestError, HTTPStatus.BAD_REQUEST),
    (errors.TooManyKeysError, HTTPStatus.CONFLICT),
    (errors.UnauthorizedError, HTTPStatus.UNAUTHORIZED),
    (errors.ForbiddenError, HTTPStatus.FORBIDDEN),
    (errors.OtherSiteError, HTTPStatus.FORBIDDEN),
    (errors.OtherHostError, HTTPStatus.FORBIDDEN),
    (errors.StalledError, HTTPStatus.REQUEST_TIMEOUT),
    (errors.DuplicateError, HTTPStatus.CONFLICT),
    (errors.TooManyAttachmentsError, HTTPStatus.CONFLICT),
    (errors.OtherNumberError, HTTPStatus.CONFLICT),
    (errors.TagExistsError, HTTPStatus.CONFLICT),
    (errors.PreconditionFailedError, HTTPStatus.PRECONDITION_FAILED),
    (errors.UnsatisfiableRangeError, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    (errors.DamagedStoreError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.UnsupportedMediaTypeError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (errors.UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.SchemaError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.OtherStoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.UnlimitedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.MissingExtraError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.TooSlowError, HTTPStatus.GATEWAY_TIMEOUT),
    (errors.DiskFullError, HTTPStatus.INSUFFICIENT_STORAGE),
)

# For what aiohttp refuses by itself: its own texts repeat the input.
SENTENCES = {
    HTTPStatus.BAD_REQUEST: "This is not a valid HTTP request, or its head is too long",
    HTTPStatus.NOT_FOUND: "There is no such URL; /oas lists those that exist",
    HTTPStatus.METHOD_NOT_ALLOWED: "This URL does not take this method; the header Allow lists those it takes",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large; JSON may have up to 1 MiB",
    HTTPStatus.EXPECTATION_FAILED: "The only value of the header Expect that is supported is 100-continue",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed; its log says why",
}

DAMAGED = (
    "The object %s of image %d is missing or damaged; python3 -m kt_images.manage.check lists all such objects, "
    "with --deep also those that have the right size"
)

RETRY_AFTER_SECONDS = 1


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into an answer.

    Once part of an answer is sent, the connection breaks instead, so that no client takes half an answer for a whole
    one.
    """
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as error:
        if is_redirect(error):
            raise
        response = answer_to(error)
        has_begun = request.writer.output_size > 0
        if isinstance(error, errors.StoreMovedError):
            logs.faults.warning("%s", error)
        if _is_exhaustion(error):
            logger.warning("No descriptor is left to answer %s %s", request.method, request.rel_url.raw_path)
        elif isinstance(error, errors.DamagedObjectError):
            logs.faults.error(DAMAGED, error.key, error.image_id)
        elif has_begun or response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.exception("%s %s", request.method, request.rel_url.raw_path)
        if has_begun:
            raise BrokenAnswerError from error
        return response


def answer(status: HTTPStatus, sentence: str | None = None, details: list[ErrorDetail] | None = None) -> web.Response:
    """Return an error in its one format; without a `sentence`, with the one for its status."""
    error = Error(error=sentence or SENTENCES.get(status, status.phrase), details=details)
    body = error.model_dump_json(by_alias=True, exclude_none=True)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)


def typical(status: HTTPStatus) -> str:
    """Return a sentence that an answer of this status may have."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:  # rarely for one of our errors
        return SENTENCES[status]
    return next((kind.sentence for kind, of_kind in STATUSES if of_kind == status), status.phrase)


def is_redirect(error: Exception) -> bool:
    """Return whether the exception is aiohttp's way to answer with a redirect."""
    return isinstance(error, web.HTTPException) and error.status < HTTPStatus.BAD_REQUEST


def answer_to(error: Exception) -> web.Response:
    """Return the answer to an exception."""
    if isinstance(error, errors.KtImagesError):
        return _answer_to_ours(error)
    if _is_exhaustion(error):
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, "The service is busy; please try again")
    if not isinstance(error, web.HTTPException):
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR)
    response = answer(HTTPStatus(error.status))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _is_exhaustion(error: Exception) -> bool:
    """Return whether no descriptor was left, wherever it was wanted: a matter of moments, and of how many ask."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def _answer_to_ours(error: errors.KtImagesError) -> web.Response:
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    response = answer(status, str(error), getattr(error, "details", None))
    if isinstance(error, errors.UnsatisfiableRangeError):
        response.headers["Content-Range"] = f"bytes */{error.size}"
    if isinstance(error, errors.UnauthorizedError):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.DuplicateError):
        response.headers["Location"] = f"/images/{error.image_id}"
    return response
