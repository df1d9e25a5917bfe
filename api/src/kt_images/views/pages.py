"""The page /oas, which shows the documentation and tries calls out."""

from functools import cache
from importlib import resources

from aiohttp import web
from aiohttp.typedefs import Handler

from kt_images.http.validation import refuse_unknown_parameters
from kt_images.views.call import call

# Everything comes from the service itself. The page styles its elements one by one, and shows downloads as blobs.
POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def file(name: str, content_type: str) -> Handler:
    """Return a handler that answers with a file of this package's folder `oas`."""

    @call(name, scope=None)
    async def answer(request: web.Request) -> web.Response:
        refuse_unknown_parameters(request.rel_url.query, ())
        headers = {"Content-Type": f"{content_type}; charset=utf-8", "Content-Security-Policy": POLICY}
        return web.Response(body=_bytes(name), headers=headers)

    return answer


@cache
def _bytes(name: str) -> bytes:
    return resources.files("kt_images.views").joinpath("oas", name).read_bytes()
