"""Pages of other sites, in a browser that can reach the service: they neither read nor write, unless they are listed.

Browsers say whose page a request is from, in `Sec-Fetch-Site` (where they trust the connection) and `Origin`, and show
an answer to a page of another origin only if the answer allows it (CORS). Forms, `no-cors` requests and beacons are
sent without asking first, so what changes something is looked at here. Clients that send neither header are no
browsers, and pass.
"""

from collections.abc import Collection
from http import HTTPMethod, HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from kt_images.base_settings import Settings
from kt_images.errors import OtherSiteError
from kt_images.http.hosts import Hosts
from kt_images.http.safety import vary

READING = {HTTPMethod.GET, HTTPMethod.HEAD, HTTPMethod.OPTIONS}
# A load balancer knows addresses and no names, and these tell nothing.
PROBES = {"/healthz", "/readyz"}

DEFAULT_PORTS = {"http": ":80", "https": ":443"}

# What listed sites may send and see, beyond what browsers let every page send and see.
SENT = (
    "Authorization, Cache-Control, Content-Digest, Content-Type, If-Match, If-None-Match, If-Range, Range, "
    "Repr-Digest, X-Request-ID"
)
SHOWN = "Accept-Ranges, Allow, Content-Range, ETag, Location, Repr-Digest, Retry-After, WWW-Authenticate, X-Request-ID"
# For which a browser need not ask again; Chromium takes no more.
MAX_AGE_SECONDS = 7200


class Sites:
    """Refuses what pages of sites that are not listed send, in its `middleware`; lets the others see answers."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = Hosts(settings)
        self._listed = frozenset(settings.cors_origins)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Look at the head of a request, before anything of its body is read."""
        resource = request.match_info.route.resource
        if resource is None or resource.canonical not in PROBES:
            self._hosts.check(request)
        if request.method not in READING and self._is_foreign(request):
            raise OtherSiteError
        if methods := self._asked_for(request):
            return _permission(methods)
        return await handler(request)

    async def on_response_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of listed sites see the answer, as a signal of the application."""
        if self._listed:
            vary(response, hdrs.ORIGIN)
        if self._is_listed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = SHOWN

    def _is_listed(self, request: web.Request) -> bool:
        return request.headers.get(hdrs.ORIGIN) in self._listed

    def _is_foreign(self, request: web.Request) -> bool:
        if self._is_listed(request):
            return False
        if (site := request.headers.get("Sec-Fetch-Site")) is not None:
            return site not in {"same-origin", "none"}
        origin = request.headers.get(hdrs.ORIGIN)
        return origin is not None and not _is_own(origin, request)

    def _asked_for(self, request: web.Request) -> Collection[str]:
        """Return the methods that a URL takes, if that is what a listed site asks (a preflight)."""
        if request.method != HTTPMethod.OPTIONS or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
            return ()
        return _methods(request) if self._is_listed(request) else ()


def is_of_own_page(request: web.Request) -> bool:
    """Return whether the browser says that a page of this very service sends the request."""
    if (site := request.headers.get("Sec-Fetch-Site")) is not None:
        return site == "same-origin"
    return _is_own(request.headers.get(hdrs.ORIGIN, ""), request)


def has_other_origin(request: web.Request) -> bool:
    """Return whether a page of another origin asks, listed or not, and by a way in which it could see the answer."""
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and not _is_own(origin, request)


def is_encrypted(request: web.Request) -> bool:
    """Return whether the browser has called by TLS, as far as anything tells so.

    Whoever makes the headers up gains nothing: what they get is sent by TLS alone.
    """
    forwarded = request.headers.get(hdrs.X_FORWARDED_PROTO, "").partition(",")[0].strip().lower()
    return request.secure or forwarded == "https" or request.headers.get(hdrs.ORIGIN, "").startswith("https://")


def _is_own(origin: str, request: web.Request) -> bool:
    """Return whether the origin is this service, by its host and port: behind a proxy, the scheme is the proxy's."""
    scheme, _, authority = origin.partition("://")
    if scheme not in DEFAULT_PORTS or not authority:  # null, or a browser's extension
        return False
    # A page cannot set X-Forwarded-Host without asking first.
    hosts = [request.headers.get(hdrs.HOST, ""), *request.headers.get("X-Forwarded-Host", "").split(",")]
    return authority in {host.strip().lower().removesuffix(DEFAULT_PORTS[scheme]) for host in hosts}


def _methods(request: web.Request) -> Collection[str]:
    """Return the methods of the request's URL, which a view declares, and aiohttp finds out for pages."""
    refusal = request.match_info.http_exception
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        return refusal.allowed_methods
    methods: Collection[str] = getattr(request.match_info.handler, "allowed_methods", ())
    return methods


def _permission(methods: Collection[str]) -> web.Response:
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(methods)),
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: SENT,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_SECONDS),
    }
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)
