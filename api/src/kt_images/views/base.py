"""What all views share: strict arguments, and one kind of error for whatever a client sends."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

import pydantic
from aiohttp import hdrs, web
from aiohttp_pydantic import PydanticView
from pydantic import BaseModel

from kt_images.base_settings import Settings
from kt_images.database.database import Pools
from kt_images.database.pool import Pool
from kt_images.errors import InvalidRequestError, StalledError, UnsupportedMediaTypeError
from kt_images.files.store import Store
from kt_images.http import problems
from kt_images.uploads import Uploads
from kt_images.views import app_keys

JSON = "application/json"

# How the stock parsing of a request fails on what a client sent: bad UTF-8 or gzip, an unknown charset, a number of
# thousands of digits, endless nesting, a multipart body without a boundary.
UNREADABLE = (ValueError, LookupError, RecursionError, web.HTTPBadRequest, web.RequestPayloadError)


class View(PydanticView):
    """A resource. A method's signature says what it takes; everything else is refused."""

    _parameters: ClassVar[dict[str, list[str]]] = {}
    _json: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls._parameters, cls._json = dict(cls._parameters), set(cls._json)
        for method in ("get", "head", "post", "patch", "delete"):
            if handler := vars(cls).get(method):
                taken = inspect.signature(handler).parameters.values()
                named = [p for p in taken if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
                bodies = [p for p in named if inspect.isclass(p.annotation) and issubclass(p.annotation, BaseModel)]
                cls._parameters[method] = [p.name for p in named if p not in bodies]
                if bodies:
                    cls._json.add(method)
                setattr(cls, method, _marking_entry(handler))
        super().__init_subclass__(**kwargs)

    request: web.Request  # typed here: PydanticView has no types

    def __init__(self, request: web.Request) -> None:
        super().__init__(request)
        self.entered = False

    @property
    def settings(self) -> Settings:
        return self.request.app[app_keys.SETTINGS]

    @property
    def db(self) -> Pool:
        """The primary, for single statements."""
        return self.request.app[app_keys.DATABASE].primary.statements

    @property
    def reader(self) -> Pools:
        """The servers to read images and lists from: the replicas, unless the client asks for what the primary has."""
        asks_for_newest = "no-cache" in self.request.headers.get(hdrs.CACHE_CONTROL, "").lower()
        database = self.request.app[app_keys.DATABASE]
        return database.primary if asks_for_newest else database.replica

    @property
    def store(self) -> Store:
        return self.request.app[app_keys.STORE]

    @property
    def uploads(self) -> Uploads:
        return self.request.app[app_keys.UPLOADS]

    async def _iter(self) -> web.StreamResponse:
        if self.request.method not in self.allowed_methods:
            self._raise_allowed_methods()
        method = self.request.method.lower()
        if method in self._json and self.request.content_type != JSON:
            raise UnsupportedMediaTypeError
        self._refuse_bad_query(self._parameters.get(method, []))
        try:
            if method in self._json:
                await self._receive()
            response: web.StreamResponse = await super()._iter()
        except UNREADABLE as error:
            if self.entered:
                raise  # the same exception out of a handler is a fault of ours
            raise InvalidRequestError("The body is not a JSON object in UTF-8") from error
        return response

    async def _receive(self) -> None:
        """Have the body come in time; aiohttp keeps it for who reads it next."""
        try:
            async with asyncio.timeout(self.settings.body_timeout):
                await self.request.read()
        except TimeoutError:
            raise StalledError from None

    def _refuse_bad_query(self, known: list[str]) -> None:
        url = self.request.rel_url
        try:
            if "%" in self.request.raw_path:
                unquote_to_bytes(self.request.raw_path).decode()
        except UnicodeDecodeError:
            raise InvalidRequestError("The URL is not UTF-8") from None
        if unknown := [name for name in url.query if name not in known]:
            allowed = f"This call takes {', '.join(known)}" if known else "This call takes no parameters"
            raise problems.ValidationFailedError([problems.detail("query string", [n], allowed) for n in unknown])

    async def on_validation_error(self, exception: pydantic.ValidationError, context: str) -> web.StreamResponse:
        """Refuse arguments that pydantic refuses, in the one error shape."""
        raise problems.ValidationFailedError.of(exception, context)


def _marking_entry(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Note on the view when its arguments are parsed and `handler` begins."""

    @functools.wraps(handler)
    async def entering(self: View, *args: Any, **kwargs: Any) -> Any:
        self.entered = True
        return await handler(self, *args, **kwargs)

    return entering


def json_answer(model: BaseModel, status: int = 200, **headers: str) -> web.Response:
    """Return the model as JSON."""
    return web.Response(status=status, text=model.model_dump_json(), content_type=JSON, headers=headers)
