"""What a call is beyond its signature: its name, its bodies and the media types of its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from kt_images.models.scopes import Scope

Handler = TypeVar("Handler", bound=Callable[..., Any])

# A body or an answer, by its media type, as OpenAPI writes it.
Content = Mapping[str, Mapping[str, Any]]

TEXT: Content = {"text/plain": {"schema": {"type": "string"}}}
PICTURE: Content = {"image/*": {"schema": {"type": "string", "format": "binary"}}}


def ndjson(description: str) -> Content:
    """Return a body or an answer of lines of JSON."""
    return {"application/x-ndjson": {"schema": {"type": "string", "description": description}}}


OUTCOMES = ndjson("A line after each thousand images, then the outcome.")

FILE = {"image": {"type": "string", "format": "binary", "minLength": 1, "description": "The file."}}


@dataclass(frozen=True)
class Call:
    """What the document and the guards of a call need to know of it.

    `name` is the operationId, which generators of clients make the name of a method. `scope` is what a key must have;
    a call without one is open to everybody, whatever the settings. `form` has the fields of a call
    that takes multipart/form-data; the first is required. `body` is the model of a JSON body that may be left out.
    `bodies` are bodies of other media types, and `parameters` those of the query string that belong to them. `examples`
    are JSON bodies by what they do. `answers` has the content of those statuses that have other media types than
    application/json.
    """

    name: str
    scope: Scope | None
    form: Mapping[str, Any] = field(default_factory=dict)
    body: type[BaseModel] | None = None
    bodies: Content = field(default_factory=dict)
    parameters: type[BaseModel] | None = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[int, Content] = field(default_factory=dict)


def call(name: str, scope: Scope | None, **declared: Any) -> Callable[[Handler], Handler]:
    """Declare a view's method as a `Call`, found at its attribute `call`."""

    def declare(handler: Handler) -> Handler:
        handler.call = Call(name, scope, **declared)  # type: ignore[attr-defined]  # a function has room for it
        return handler

    return declare


def scope_of(request: web.Request) -> Scope | None:
    """Return what the call that a request makes needs. Raises LookupError if there is one that does not say so."""
    handler = request.match_info.handler
    if isinstance(handler, type):
        if request.method not in getattr(handler, "allowed_methods", ()):
            return None  # the view refuses the method
        handler = getattr(handler, request.method.lower())
    if declared := getattr(handler, "call", None):
        scope: Scope | None = declared.scope
        return scope
    raise LookupError(request.path)
