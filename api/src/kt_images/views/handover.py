"""Files that a proxy in front of the service sends: nginx, told by X-Accel-Redirect where they are."""

from http import HTTPMethod

from aiohttp import hdrs, web

from kt_images.files.store import Address
from kt_images.http.conditions import wanted_part


def hand_over(
    request: web.Request, location: str, address: Address, headers: dict[str, str], sha256: str, size: int
) -> web.Response | None:
    """Return the answer that has nginx send the object of `size` bytes, None where only the service can answer.

    Conditions have been judged, and the headers are those of the whole object. Raises UnsatisfiableRangeError.
    """
    there = {**headers, "X-Accel-Redirect": location + address.path}
    if address.is_file:
        # nginx handles ranges by itself. It takes any If-Match for one that fails.
        return None if hdrs.IF_MATCH in request.headers else web.Response(headers=there)
    if request.method == HTTPMethod.HEAD:
        return None  # the address is signed for GET
    if part := wanted_part(request, sha256, size):
        there["X-Accel-Range"] = f"bytes={part.start}-{part.stop - 1}"
    return web.Response(headers=there)
