"""How the bytes of a file leave: in one write with the answer's head, by sendfile, or in pieces."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus

from aiohttp import web

from kt_images.files.store import Content
from kt_images.http.sockets import send_file


class Room:
    """The memory for bytes that wait for their clients to take them."""

    def __init__(self, free: int) -> None:
        self.free = free

    @contextlib.contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Account for so many bytes in this context."""
        self.free -= size
        try:
            yield
        finally:
            self.free += size


@dataclass(frozen=True)
class Delivery:
    """A request's answer: all `size` bytes or a `part` of them, and the headers for either."""

    request: web.Request
    headers: dict[str, str]
    size: int
    part: range | None

    async def send_bytes(self, body: bytes, room: Room) -> web.StreamResponse:
        """Send bytes that are in memory, together with the head."""
        if self.part:
            body = body[self.part.start : self.part.stop]
        response = web.Response(body=body)
        self._describe(response)
        with room.held(len(body)):
            await response.prepare(self.request)
            await response.write_eof()
        return response

    async def send_content(self, content: Content) -> web.StreamResponse:
        """Send an open file, or what is received of an object somewhere else."""
        response = web.StreamResponse()
        self._describe(response)
        sent = self.part or range(self.size)
        response.content_length = len(sent)
        await response.prepare(self.request)
        if self.request.method == HTTPMethod.HEAD:
            return response
        descriptor = content.fileno()
        if descriptor is not None and not self.request.secure:  # with TLS, aiohttp has to encrypt the bytes
            await send_file(self.request, descriptor, sent, content.fetch)
            return response
        async for received in content:
            await response.write(received)
        return response

    def _describe(self, response: web.StreamResponse) -> None:
        response.headers.update(self.headers)
        if self.part:
            response.set_status(HTTPStatus.PARTIAL_CONTENT)
            response.headers["Content-Range"] = f"bytes {self.part.start}-{self.part.stop - 1}/{self.size}"
