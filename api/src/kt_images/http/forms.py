"""A form with one file, as clients upload it."""

from collections.abc import AsyncIterator, Collection

from aiohttp import hdrs, web

from kt_images.base_settings import Settings
from kt_images.errors import DigestMismatchError, InvalidRequestError, TooLargeError, UnsupportedMediaTypeError
from kt_images.http import digests
from kt_images.http.multipart import Multipart, Part

FILE = "image"

# What a form may have beside its file: boundaries, headers, texts.
ENVELOPE = 2**20
# More than the longest tag in any encoding.
MAX_TEXT = 4 * 1024


class Form:
    """A form with the file `image` and any number of `texts`, in any order; known once `file()` was read to its end."""

    def __init__(self, request: web.Request, settings: Settings, texts: Collection[str] = ()) -> None:
        """Raise what can be said before the first byte of the body: it is compressed, too large, no form."""
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise UnsupportedMediaTypeError("A file is uploaded without Content-Encoding")
        if (request.content_length or 0) > settings.max_upload_size + ENVELOPE:
            raise TooLargeError(f"The file is larger than {settings.max_upload_size} bytes")
        self._body = Multipart(request, settings.body_timeout)
        self._digests = digests.sha256(request.headers)
        self.filename: str | None = None
        self.texts: dict[str, list[str]] = {name: [] for name in texts}

    async def file(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file; end only when the whole form was read.

        Raises InvalidRequestError, UnsupportedMediaTypeError, StalledError. Who reads the bytes counts them.
        """
        found = False
        while part := await self._body.next():
            if part.name == FILE and not found:
                found = True
                self._open(part)
                while piece := await self._body.piece():
                    yield piece
            elif part.name in self.texts:
                self.texts[part.name].append(await self._text())
            else:
                raise InvalidRequestError(f"The form has one file, named {FILE}; {self._others()}")
        if not found:
            raise InvalidRequestError(f"The form has no file named {FILE}")

    def check_digests(self, sha256: str) -> None:
        """Raise DigestMismatchError when the client named another SHA-256 for the file."""
        if self._digests - {sha256}:
            raise DigestMismatchError

    def _open(self, part: Part) -> None:
        if part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower() not in {"binary", "8bit", "7bit"}:
            raise UnsupportedMediaTypeError("A file is uploaded without Content-Transfer-Encoding")
        self.filename = part.filename
        self._digests |= digests.sha256(part.headers)

    async def _text(self) -> str:
        text = b""
        while piece := await self._body.piece():
            text += piece
            if len(text) > MAX_TEXT:
                raise InvalidRequestError("A text of the form is too long")
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError("A text of the form is not UTF-8") from None

    def _others(self) -> str:
        return f"and beside it only {', '.join(self.texts)}" if self.texts else "and nothing else"
