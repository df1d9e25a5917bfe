"""Headers that every answer has."""

from aiohttp import web


def add_headers(response: web.StreamResponse) -> None:
    """Stop browsers from executing uploads, whatever their bytes look like."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; sandbox")


async def on_response_prepare(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers, as a signal of the application."""
    add_headers(response)
