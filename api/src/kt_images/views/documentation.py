"""/oas: the API's documentation, an OpenAPI 3.1 document and a page that shows it.

aiohttp-pydantic makes the document out of the views' signatures. What it cannot say (the version of OpenAPI, media
types, the errors that every call can answer with) is added by `Document`, for `python3 -m aiohttp_pydantic.oas` too.
"""

from functools import cache
from http import HTTPStatus
from importlib import metadata, resources
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_pydantic.oas import pydantic_schema_to_oas, view
from aiohttp_pydantic.oas.struct import OpenApiSpec3

METHODS = ("get", "post", "patch", "delete")

# Everything from the service itself; the page styles its elements one by one.
PAGE_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'"
)

# The views' own declarations bring the schema into the document.
_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_BYTES = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
_LINES = {"schema": {"type": "string", "description": "An image on each line, the totals on the last."}}

# The media types that are not application/json.
CONTENT = {
    ("/images", "get", "200"): {"application/x-ndjson": _LINES},
    ("/images/{image_id}/attachment/{filename}", "get", "302"): _TEXT,
    ("/images/{image_id}/attachment/{filename}", "post", "200"): _TEXT,
    ("/media/{image_id}/{filename}", "get", "200"): _BYTES,
    ("/media/{image_id}/{filename}", "get", "206"): _BYTES,
}

_FILE = {"image": {"type": "string", "format": "binary", "description": "The file."}}
_TAGS = {"tags": {"type": "array", "items": {"type": "string"}, "description": "The image's tags, each a part."}}


def _form(**fields: Any) -> dict[str, Any]:
    return {"multipart/form-data": {"schema": {"type": "object", "required": ["image"], "properties": fields}}}


BODIES = {
    ("/images/upload", "post"): _form(**_FILE, **_TAGS),
    ("/images/{image_id}/attachment/{filename}", "post"): _form(**_FILE),
}

# Answers that a view need not declare.
ALWAYS = {
    "400": "The request cannot be understood or is not allowed; the sentence says why.",
    "500": "The service failed; what happened is in its log.",
    "503": "The database or the store is not reachable now, or busy.",
    "504": "The database took longer than the statement timeout.",
}
WITH_JSON_BODY = {
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is not sent as application/json.",
}
DESCRIPTIONS = {"404": "There is no such image or attachment.", "408": "The body did not come in time."}

# How the page groups the calls, by the beginning of their path.
TAGS = (
    ("/images/{image_id}/", "Files"),
    ("/images", "Images"),
    ("/attachments", "Files"),
    ("/media", "Files"),
    ("", "The service"),
)

HEADERS = {
    "201": {"Location": "The URL of what was made."},
    "206": {"Content-Range": "Which bytes of how many."},
    "304": {"ETag": "The version that the client has."},
    "409": {"Location": "The URL of the image that is in the way."},
    "302": {"Location": "The URL of the bytes."},
    "503": {"Retry-After": "Seconds to wait before another try."},
}


class Document(OpenApiSpec3):
    """The document, complete whenever it is read: the generator has no hook for its end."""

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = super().spec
        package = metadata.metadata("kt-images")
        spec["openapi"] = "3.1.0"
        spec["info"] = {"title": package["Name"], "version": package["Version"], "description": package["Summary"]}
        for path, item in spec.get("paths", {}).items():
            # HEAD is GET without a body; and the generator's order of methods changes from run to run.
            operations = {method: _completed(path, method, item[method]) for method in METHODS if item.get(method)}
            item.clear()
            item.update(operations)
        if schemas := spec.get("components", {}).get("schemas"):
            in_order = dict(sorted(schemas.items()))
            schemas.clear()
            schemas.update(in_order)
        return spec


def _completed(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    summary, _, description = operation.pop("description", operation.get("summary", "")).partition("\n")
    operation.setdefault("summary", summary.rstrip("."))
    operation["tags"] = [next(tag for prefix, tag in TAGS if path.startswith(prefix))]
    if description.strip():
        operation["description"] = description.strip()
    responses = operation["responses"]
    if body := BODIES.get((path, method)):
        operation["requestBody"] = {"content": body}
    elif "requestBody" in operation:
        _add_errors(responses, WITH_JSON_BODY)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
    _add_errors(responses, ALWAYS)
    for status, response in responses.items():
        phrase = DESCRIPTIONS.get(status, HTTPStatus(int(status)).phrase)
        response["description"] = response.get("description") or phrase
        content = response.get("content", {}) | CONTENT.get((path, method, status), {})
        if content:
            response["content"] = content
        if headers := HEADERS.get(status):
            response["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
            }
    operation["responses"] = dict(sorted(responses.items()))
    return operation


def _add_errors(responses: dict[str, Any], errors: dict[str, str]) -> None:
    for status, description in errors.items():
        responses.setdefault(status, {"description": description, "content": _ERROR})


def install() -> None:
    """Have aiohttp-pydantic make OpenAPI 3.1 of ours, wherever it makes a document."""
    # The translation to OpenAPI 3.0 fails on unions of models, and 3.1 takes pydantic's schemas as they are.
    pydantic_schema_to_oas.add_or_replace_translater("3.0.0", lambda _schema: None)
    view.OpenApiSpec3 = Document


def setup(app: web.Application) -> None:
    """Add the page, the files it loads, and the document."""

    async def spec(_request: web.Request) -> web.Response:
        return web.json_response(view.generate_oas([app]))

    app.router.add_get("/oas/spec", spec)
    app.router.add_get("/oas", _page_file("index.html", "text/html"))
    app.router.add_get("/oas/index.js", _page_file("index.js", "text/javascript"))
    app.router.add_get("/oas/swagger-ui-bundle.js", _page_file("swagger-ui-bundle.js", "text/javascript"))
    app.router.add_get("/oas/swagger-ui.css", _page_file("swagger-ui.css", "text/css"))


@cache
def _page_bytes(name: str) -> bytes:
    return resources.files("kt_images.views").joinpath("oas", name).read_bytes()


def _page_file(name: str, content_type: str) -> Handler:
    async def file(_request: web.Request) -> web.Response:
        body = _page_bytes(name)
        headers = {"Content-Type": f"{content_type}; charset=utf-8", "Content-Security-Policy": PAGE_POLICY}
        return web.Response(body=body, headers=headers)

    return file
