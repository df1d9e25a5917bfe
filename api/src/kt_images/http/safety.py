"""Headers that every answer has."""

from aiohttp import web

from kt_images.http import watching


def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Stop browsers from executing uploads, whatever their bytes look like; tell the id of the request."""
    watching.describe(request, response)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; sandbox")


async def on_response_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers, as a signal of the application."""
    add_headers(request, response)
