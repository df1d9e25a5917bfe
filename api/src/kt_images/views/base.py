"""What all views share: strict arguments, and one kind of error for whatever a client sends."""

import asyncio
import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar, get_type_hints
from urllib.parse import unquote_to_bytes

import pydantic
from aiohttp import hdrs, web
from aiohttp_pydantic import PydanticView
from aiohttp_pydantic.injectors import Group
from pydantic import BaseModel

from kt_images.base_settings import Settings
from kt_images.database.database import Pools
from kt_images.database.pool import Pool
from kt_images.database.shared import Shared
from kt_images.errors import InvalidRequestError, StalledError, UnsupportedMediaTypeError
from kt_images.files.store import Store
from kt_images.http.validation import ValidationFailedError, refuse_unknown_parameters
from kt_images.uploads import Uploads
from kt_images.views import app_keys

Body = TypeVar("Body", bound=BaseModel)

JSON = "application/json"
UTF_8 = "utf-8"
UNREADABLE_JSON = "The body cannot be read; send valid JSON in UTF-8"
METHODS = ("get", "head", "post", "patch", "delete")

# How aiohttp and aiohttp-pydantic fail on what a client sent: bad UTF-8 or gzip, an unknown charset, a number of
# thousands of digits, endless nesting.
UNREADABLE = (ValueError, LookupError, RecursionError, web.HTTPBadRequest, web.RequestPayloadError)


class View(PydanticView):
    """A resource. Each method is a `call`; its signature says what it takes, and everything else is refused.

    `group` is the heading under which the documentation lists the resource.
    """

    group: ClassVar[str]
    _parameters: ClassVar[dict[str, list[str]]] = {}
    _json: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls._parameters, cls._json = dict(cls._parameters), set(cls._json)
        for method in METHODS:
            if handler := vars(cls).get(method):
                taken = inspect.signature(handler).parameters.values()
                named = [p for p in taken if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
                bodies = [p for p in named if _is_a(p.annotation, BaseModel)]
                cls._parameters[method] = [name for p in named if p not in bodies for name in _query_names(p)]
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
    def shared(self) -> Shared:
        """The primary, for statements that requests share."""
        return self.request.app[app_keys.DATABASE].primary.shared

    @property
    def reader(self) -> Pools:
        """Where images and lists are read: the replicas, or the primary for a client that asks for the newest state."""
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
                raise  # out of a handler, the same exception is a fault of the service
            raise InvalidRequestError(_complaint(error)) from error
        return response

    async def _receive(self) -> None:
        """Read the body in time; aiohttp keeps it for whoever asks for it next.

        It decodes JSON by whatever encoding a client names, and some of Python's take minutes for a megabyte.
        """
        if (self.request.charset or UTF_8).lower() != UTF_8:
            raise InvalidRequestError(UNREADABLE_JSON)
        try:
            async with asyncio.timeout(self.settings.body_timeout):
                await self.request.read()
        except TimeoutError:
            raise StalledError from None

    async def optional_body(self, model: type[Body]) -> Body:
        """Return the JSON body, or the model without values if there is no body. Raises as a call with a body does."""
        if not self.request.body_exists:
            return model()
        if self.request.content_type != JSON:
            raise UnsupportedMediaTypeError
        await self._receive()
        try:
            content = await self.request.json()
        except UNREADABLE as error:
            raise InvalidRequestError(_complaint(error)) from error
        try:
            return model.model_validate(content)
        except pydantic.ValidationError as error:
            raise ValidationFailedError.of(error, "body") from None

    def _refuse_bad_query(self, known: Sequence[str]) -> None:
        try:
            if "%" in self.request.raw_path:
                unquote_to_bytes(self.request.raw_path).decode()
        except UnicodeDecodeError:
            raise InvalidRequestError("The URL is not UTF-8 after its percent signs are decoded") from None
        refuse_unknown_parameters(self.request.rel_url.query, known)

    async def on_validation_error(self, exception: pydantic.ValidationError, context: str) -> web.StreamResponse:
        """Refuse arguments that pydantic refuses, in the one error format."""
        raise ValidationFailedError.of(exception, context)


def _complaint(error: Exception) -> str:
    # aiohttp-pydantic raises the same for JSON that is broken and for JSON that is no object.
    if isinstance(error, web.HTTPBadRequest) and not isinstance(error.__context__, json.JSONDecodeError):
        return 'The body must be a JSON object, as in {"filename": "example.jpg"}'
    return UNREADABLE_JSON


def _is_a(annotation: Any, kind: type) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, kind)


def _query_names(parameter: inspect.Parameter) -> Iterable[str]:
    return get_type_hints(parameter.annotation) if _is_a(parameter.annotation, Group) else [parameter.name]


def _marking_entry(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Note on the view that its arguments are parsed and `handler` begins."""

    @functools.wraps(handler)
    async def entering(self: View, *args: Any, **kwargs: Any) -> Any:
        self.entered = True
        return await handler(self, *args, **kwargs)

    return entering


def json_answer(model: BaseModel, status: int = 200, **headers: str) -> web.Response:
    """Return the model as JSON."""
    return text_answer(model.model_dump_json(), status, **headers)


def text_answer(text: str, status: int = 200, **headers: str) -> web.Response:
    """Return a text that is JSON already."""
    return web.Response(status=status, text=text, content_type=JSON, headers=headers)
