"""/oas/spec and openapi.json: the API as an OpenAPI 3.1 document.

aiohttp-pydantic makes the document from the signatures and docstrings of the views. `Document` adds what the views
declare beside them (see `call.py`) and the errors that any call can answer with.
"""

import copy
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import metadata
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_pydantic.oas import pydantic_schema_to_oas, view
from aiohttp_pydantic.oas.struct import OpenApiSpec3
from pydantic import BaseModel

from kt_images.access.sessions import COOKIE
from kt_images.http import addresses, problems
from kt_images.http.validation import refuse_unknown_parameters
from kt_images.views.base import JSON, METHODS, View
from kt_images.views.call import Call, call

# HEAD is GET without a body.
DOCUMENTED = tuple(method for method in METHODS if method != "head")

# Answers that a view need not declare.
ALWAYS = {
    "400": "The request cannot be understood or is not allowed; the sentence says why.",
    "403": "The request is from a page of another site, or calls the service by a name that is not its own.",
    "500": "The service failed; its log says why.",
    "503": "The database or the store is unreachable or busy; try again after Retry-After seconds.",
    "504": "The database took longer than the statement timeout.",
}
WITH_JSON_BODY = {
    "408": "The body arrived too slowly.",
    "413": "The body is too large.",
    "415": "The body is not sent as application/json.",
}
WITH_SCOPE = {
    "401": "The call needs a key, and none came that is valid.",
    "403": "The key lacks the scope, a page of another site calls, or the service is called by another name.",
}
DESCRIPTIONS = {"404": "There is no such image, attachment or URL.", "408": "The body arrived too slowly."}

# Of the document, for proxies that publish it below different paths.
MOST_TEXTS = 8

KEY, SESSION = "key", "session"
SECURITY_SCHEMES = {
    KEY: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "kti_…",
        "description": "A key, where the service asks for one; a call names the scope that the key needs.",
    },
    SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The session of a browser, which a key was exchanged for. It counts for the service's own page.",
    },
}

HEADERS = {
    "201": {"Location": "The URL of the new image."},
    "206": {"Content-Range": "Which bytes these are, and the size of the file."},
    "302": {"Location": "The URL of the bytes."},
    "304": {"ETag": "The version that the client has."},
    "401": {"WWW-Authenticate": "Bearer."},
    "409": {"Location": "Of a duplicate: the URL of the image that has the same bytes."},
    "503": {"Retry-After": "Seconds to wait before the next try."},
}


@dataclass(frozen=True)
class Declaration:
    """The `group` of a call's view, and the call."""

    group: str
    call: Call


class Document(OpenApiSpec3):
    """The document; it is complete whenever its `spec` is read, as the generator has no hook for its end."""

    def __init__(self, declarations: Mapping[tuple[str, str], Declaration]) -> None:
        super().__init__()
        self._declarations = declarations

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = copy.deepcopy(super().spec)
        package = metadata.metadata("kt-images")
        spec["openapi"] = "3.1.0"
        spec["info"] = {"title": package["Name"], "version": package["Version"], "description": package["Summary"]}
        spec["info"]["license"] = {"name": package["License-Expression"], "identifier": package["License-Expression"]}
        spec["servers"] = [{"url": "/"}]
        # In a fixed order: the generator's changes from run to run.
        spec["paths"] = {path: self._item(path, item) for path, item in spec.get("paths", {}).items()}
        components = spec.setdefault("components", {})
        components["schemas"] = dict(sorted(components.get("schemas", {}).items()))
        components["securitySchemes"] = SECURITY_SCHEMES
        return spec

    def _item(self, path: str, item: dict[str, Any]) -> dict[str, Any]:
        return {
            method: _operation(item[method], self._declarations[path, method])
            for method in DOCUMENTED
            if item.get(method)
        }


def _operation(generated: dict[str, Any], declaration: Declaration) -> dict[str, Any]:
    """Complete an operation with what its view declares."""
    call = declaration.call
    summary, _, description = generated.pop("description", "").partition("\n")
    operation = {"operationId": call.name, "tags": [declaration.group], "summary": summary.rstrip(".")}
    if description.strip():
        operation["description"] = description.strip()
    operation |= {key: value for key, value in generated.items() if key not in {"tags", "responses"}}
    # An open service asks for no key.
    operation["security"] = [{KEY: [call.scope]}, {SESSION: [call.scope]}, {}] if call.scope else []
    errors = always = ALWAYS | (WITH_SCOPE if call.scope else {})
    if call.form:
        operation["requestBody"] = {"content": _form(call.form)}
    elif body := operation.get("requestBody"):
        errors = always | WITH_JSON_BODY
        body["content"][JSON]["examples"] = {name: {"value": value} for name, value in call.examples.items()}
        body["content"] |= call.bodies
    if call.parameters:
        operation["parameters"] = [*operation.get("parameters", []), *_parameters(call.parameters)]
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
    elif call.body:
        errors = always | WITH_JSON_BODY
        operation["requestBody"] = {"content": {JSON: {"schema": call.body.model_json_schema()}}, "required": False}
    operation["responses"] = _responses(generated["responses"], errors, call)
    return operation


def _parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": one.pop("description"),
            "schema": {"type": "string", "enum": schema["$defs"][one["$ref"].rpartition("/")[2]]["enum"]},
        }
        for name, one in schema["properties"].items()
    ]


def _form(fields: Mapping[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": dict(fields),
        "required": [next(iter(fields))],
        "additionalProperties": False,
    }
    return {"multipart/form-data": {"schema": schema}}


def _responses(declared: dict[str, Any], errors: dict[str, str], call: Call) -> dict[str, Any]:
    always = {status: {"description": text} for status, text in errors.items()}
    responses = dict(sorted((always | declared).items()))
    for status, response in responses.items():
        phrase = DESCRIPTIONS.get(status, HTTPStatus(int(status)).phrase)
        response["description"] = response.get("description") or errors.get(status, phrase)
        if content := _content(HTTPStatus(int(status)), response.get("content", {}), call):
            response["content"] = content
        if headers := HEADERS.get(status):
            response["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
            }
    return responses


def _content(status: HTTPStatus, declared: dict[str, Any], call: Call) -> dict[str, Any]:
    if status < HTTPStatus.BAD_REQUEST:
        return declared | dict(call.answers.get(status, {}))
    # The views' own declarations bring the schema into the document.
    return {JSON: {"schema": {"$ref": "#/components/schemas/Error"}, "example": {"error": problems.typical(status)}}}


def install(app: web.Application) -> None:
    """Make aiohttp-pydantic generate a `Document` of the application, for `python3 -m aiohttp_pydantic.oas` too."""
    # Its translation to OpenAPI 3.0 fails on unions of models; 3.1 takes pydantic's schemas as they are.
    pydantic_schema_to_oas.add_or_replace_translater("3.0.0", lambda _schema: None)
    # It calls the class by this name, without arguments. All applications of a process have the same views.
    view.OpenApiSpec3 = functools.partial(Document, _declarations(app))


def _declarations(app: web.Application) -> dict[tuple[str, str], Declaration]:
    views = [
        (route.resource.canonical, route.handler)
        for route in app.router.routes()
        if route.resource and isinstance(route.handler, type) and issubclass(route.handler, View)
    ]
    return {
        (path, method): Declaration(resource.group, getattr(resource, method).call)
        for path, resource in views
        for method in DOCUMENTED
        if hasattr(resource, method)
    }


def describing(app: web.Application) -> Handler:
    """Return the handler of /oas/spec; the document is made once, when it is first asked for."""
    document = functools.cache(lambda: view.generate_oas([app]))

    @functools.lru_cache(MOST_TEXTS)
    def text(prefix: str) -> str:
        return json.dumps(document() | {"servers": [{"url": prefix or "/"}]})

    @call("spec", scope=None)
    async def spec(request: web.Request) -> web.Response:
        refuse_unknown_parameters(request.rel_url.query, ())
        return web.Response(text=text(addresses.prefix(request)), content_type=JSON)

    return spec
