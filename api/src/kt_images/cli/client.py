"""The service's calls, typed."""

import base64
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp

from kt_images.cli import output
from kt_images.cli.connection import Connection
from kt_images.cli.errors import BrokenError, CliError, FatalError, NotFoundError
from kt_images.cli.images import Attachment, Image, Wanted

PIECE = 256 * 1024
LONGEST_LINE = 2**20  # an image with every tag it can have is a tenth of it

T = TypeVar("T")


class Client(Connection):
    """The service at an address. Every call raises CliError, and NotFoundError where there is no such image."""

    async def images(self, wanted: Wanted) -> AsyncGenerator[list[Image], None]:
        """Yield the images, as many at a time as have come; end only when the list is whole.

        Raises CliError when it is not. To be closed with `aclosing()`.
        """
        response, count, total = None, 0, None
        try:
            async with AsyncExitStack() as stack:
                request = {"params": wanted.query, "headers": {"Accept": "application/x-ndjson"}}

                async def attempt() -> aiohttp.ClientResponse:
                    return await stack.enter_async_context(self.answer("GET", "images", **request))

                response = await self.persist(attempt)
                async for lines in self._lines(response):
                    if lines and (total := _total(lines[-1])) is not None:
                        lines.pop()
                    if lines:
                        count += len(lines)
                        yield [self._read(Image.of, line) for line in lines]
        except BrokenError:
            if response is None:
                raise
        if count != total:
            raise CliError(f"The list broke off after {output.counted(count, 'image')}: it is not complete")

    async def image(self, image_id: int) -> Image:
        """Return the image."""
        return self._read(Image.of, await self.call("GET", f"images/{image_id}"))

    async def attachments(self, image_id: int) -> list[Attachment]:
        """Return the image's files."""
        listed = await self.call("GET", f"images/{image_id}/attachments")
        if not isinstance(listed, list):
            raise self.strange()
        return [self._read(Attachment.of, one) for one in listed]

    async def change_tags(self, image_id: int, add: list[str], remove: list[str]) -> Image:
        """Add and remove tags; return the image as it is then."""
        changes = {name: tags for name, tags in (("add_tags", add), ("remove_tags", remove)) if tags}
        return self._read(Image.of, await self.call("PATCH", f"images/{image_id}", json=changes))

    async def delete(self, image_id: int) -> None:
        """Delete the image and its files."""
        attempts = 0

        async def attempt() -> None:
            nonlocal attempts
            attempts += 1
            try:
                async with self.answer("DELETE", f"images/{image_id}"):
                    pass
            except NotFoundError:
                if attempts == 1:
                    raise  # else an attempt whose answer was lost has deleted it

        await self.persist(attempt)

    async def upload(
        self, path: Path, filename: str, tags: list[str], sha256: bytes, sent: Callable[[int], None]
    ) -> tuple[Image, bool]:
        """Store the file as an image, unless its bytes are there: then that image gets the tags that it lacks.

        Returns the image, and whether it is new. `sent` is told how many bytes went, less than none when they have to
        go again. Raises OSError when the file cannot be read.
        """
        digest = {"Repr-Digest": f"sha-256=:{base64.b64encode(sha256).decode()}:"}

        async def attempt() -> tuple[Image, bool]:
            with _Watched(path, sent) as file:
                form = aiohttp.FormData(quote_fields=False)
                for tag in tags:
                    form.add_field("tags", tag)
                form.add_field("image", file, filename=filename, content_type="application/octet-stream")
                request = {"params": {"on_duplicate": "merge_tags"}, "headers": digest, "data": form}
                try:
                    async with self.answer("POST", "images/upload", **request) as response:
                        return self._read(
                            Image.of, await self.read_json(response)
                        ), response.status == HTTPStatus.CREATED
                except NotFoundError as error:
                    raise FatalError(f"The service takes no uploads: {error}") from error
                except BaseException:
                    sent(-file.count)
                    raise

        return await self.persist(attempt)

    @asynccontextmanager
    async def media(self, image_id: int, filename: str, start: int) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """Give the file's bytes from `start` on, and where they start indeed: at 0 when the service gives all of them.

        One attempt: raises BrokenError when the connection breaks off.
        """
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        async with self.answer("GET", self.media_path(image_id, filename), headers=headers) as response:
            whole = response.status != HTTPStatus.PARTIAL_CONTENT
            if not whole and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise self.strange()
            yield 0 if whole else start, response.content.iter_chunked(PIECE)

    @staticmethod
    def media_path(image_id: int, filename: str) -> str:
        """Return where the file's bytes are, below the service's address."""
        return f"media/{image_id}/{quote(filename, safe='')}"

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[list[Any]]:
        """Yield the JSON values that have come, each of which is a line."""
        rest = b""
        async for piece in response.content.iter_any():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise self.strange()
            try:
                yield [json.loads(line) for line in lines]
            except ValueError:
                raise self.strange() from None

    def _read(self, kind: Callable[[Any], T], value: Any) -> T:
        try:
            return kind(value)
        except ValueError:
            raise self.strange() from None


class _Watched(io.BufferedReader):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, read: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path))
        self._told, self.count = read, 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.count += len(piece)
        self._told(len(piece))
        return piece


def _total(line: Any) -> int | None:
    """What the line proves to be the number of all images; None if it is an image."""
    return line.get("totalImages") if isinstance(line, dict) else None
