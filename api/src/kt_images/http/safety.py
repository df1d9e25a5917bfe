"""Headers that every answer has."""

from aiohttp import hdrs, web


def add_headers(response: web.StreamResponse) -> None:
    """Stop browsers from executing uploads, whatever their bytes look like, and from showing them on other sites.

    A site that CORS lists embeds them all the same, with `<img crossorigin>`.
    """
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; sandbox")


def vary(response: web.StreamResponse, header: str) -> None:
    """Tell caches that the answer depends on this header of the request, too."""
    varies = response.headers.get(hdrs.VARY)
    response.headers[hdrs.VARY] = f"{varies}, {header}" if varies else header


async def on_response_prepare(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers, as a signal of the application."""
    add_headers(response)
