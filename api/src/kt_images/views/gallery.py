"""The gallery at `/`, for browsers, and its files below `/gallery/`. They hold no data, and are open to everybody."""

from aiohttp import ETag, hdrs, web

from kt_images.gallery import assets
from kt_images.gallery.assets import Asset
from kt_images.http.addresses import prefix
from kt_images.http.conditions import client_has
from kt_images.http.safety import vary
from kt_images.http.validation import refuse_unknown_parameters
from kt_images.views.call import call

# Everything comes from the service itself, names and tags reach the page as text alone, and files on their way in are
# shown as blobs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
# A name stands for one content.
UNCHANGING = "public, max-age=31536000, immutable"


@call("home", scope=None)
async def home(request: web.Request) -> web.StreamResponse:
    """Show the gallery to browsers; lead all others to the documentation."""
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        refuse_unknown_parameters(request.rel_url.query, ())
        raise web.HTTPFound("/oas", headers={hdrs.VARY: hdrs.ACCEPT})
    # The query is the page's own: what is searched for.
    response = _answer(request, assets.page(prefix(request)), "no-cache")
    vary(response, hdrs.ACCEPT)
    return response


@call("gallery_file", scope=None)
async def file(request: web.Request) -> web.StreamResponse:
    """Send a file of the gallery."""
    if (asset := assets.files().get(request.match_info["name"])) is None:
        raise web.HTTPNotFound
    return _answer(request, asset, UNCHANGING)


def _answer(request: web.Request, asset: Asset, lifetime: str) -> web.Response:
    headers = {hdrs.CACHE_CONTROL: lifetime, "Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
    response = web.Response(headers=headers)
    response.etag = ETag(asset.tag, is_weak=True)  # one for both encodings
    vary(response, hdrs.ACCEPT_ENCODING)
    if client_has(request, asset.tag):
        response.set_status(304)
        return response
    response.headers[hdrs.CONTENT_TYPE] = asset.content_type
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        response.headers[hdrs.CONTENT_ENCODING] = "gzip"
        response.body = asset.compressed
    else:
        response.body = asset.body
    return response
