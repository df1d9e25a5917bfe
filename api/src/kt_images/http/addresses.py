"""The service's own URLs as its clients see them: below the path at which a proxy publishes it.

Whatever names a URL in `Location` writes it as if the service had its host for itself, and it is completed on its way
out. URLs in bodies are completed by those who write the bodies, with `prefix`.
"""

from collections.abc import Iterator
from typing import Any, NoReturn

from aiohttp import hdrs, web
from yarl import URL

from kt_images.base_settings import BASE_PATH
from kt_images.http.safety import vary

# Where a proxy says which path it has taken off.
FORWARDED = "X-Forwarded-Prefix"
LONGEST = 256

_BASE_PATH = web.AppKey("base_path", str)
_INSIDE = web.RequestKey("inside", bool)
_HAS_LOOKED = web.RequestKey("has_looked", bool)


def install(app: web.Application, base_path: str) -> None:
    """Publish the application below this path, as well as at the root: a proxy may take the path off or not."""
    app[_BASE_PATH] = base_path
    app.on_response_prepare.append(_on_response_prepare)
    if base_path:
        app.router.register_resource(Below(base_path, app.router))


def prefix(request: web.Request) -> str:
    """Return the path below which the client sees the service, empty for a whole host.

    Without the setting it is what the proxy says, if that is a path and can be nothing else. It never decides which
    call is meant: what a proxy keeps from its clients they could get at by another name.
    """
    if base_path := request.app[_BASE_PATH]:
        return base_path
    request[_HAS_LOOKED] = True
    said = request.headers.get(FORWARDED, "")
    return said if len(said) <= LONGEST and BASE_PATH.fullmatch(said) else ""


async def _on_response_prepare(request: web.Request, response: web.StreamResponse) -> None:
    location = response.headers.get(hdrs.LOCATION, "")
    if location.startswith("/"):
        response.headers[hdrs.LOCATION] = prefix(request) + location
    if _HAS_LOOKED in request:
        vary(response, FORWARDED)


class Below(web.AbstractResource):
    """Everything that the router knows, once more below a path."""

    def __init__(self, base_path: str, router: web.UrlDispatcher) -> None:
        super().__init__()
        self._base_path, self._router = base_path, router

    @property
    def canonical(self) -> str:
        return self._base_path

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """Find the route of the rest of the path; the request keeps its URL."""
        path = request.rel_url.raw_path
        if _INSIDE in request or not f"{path}/".startswith(f"{self._base_path}/"):
            return None, set()
        rest = path.removeprefix(self._base_path) or "/"
        inner = request.clone(rel_url=URL.build(path=rest, encoded=True))
        inner[_INSIDE] = True
        found = await self._router.resolve(inner)
        if refusal := found.http_exception:
            return None, refusal.allowed_methods if isinstance(refusal, web.HTTPMethodNotAllowed) else set()
        return found, set()

    def raw_match(self, path: str) -> bool:
        return path == self._base_path

    def get_info(self) -> Any:
        return {"prefix": self._base_path}

    def url_for(self, **kwargs: str) -> NoReturn:
        raise NotImplementedError

    def add_prefix(self, prefix: str) -> NoReturn:
        raise NotImplementedError

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[web.AbstractRoute]:
        return iter(())
