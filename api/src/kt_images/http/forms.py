"""An uploaded form: one file, and texts beside it."""

from collections.abc import AsyncIterator, Collection

from aiohttp import hdrs, web

from kt_images.base_settings import Settings
from kt_images.errors import DigestMismatchError, InvalidRequestError, TooLargeError, UnsupportedMediaTypeError
from kt_images.http import digests
from kt_images.http.clients import client_of
from kt_images.http.multipart import Multipart, Part

FILE = "image"

# Bytes that a form may have beside its file: boundaries, headers, texts.
ENVELOPE = 2**20
# More than the longest tag in any encoding.
MAX_TEXT = 4 * 1024


class Form:
    """A form with the file `image` and any number of `texts`, in any order.

    `filename` and `texts` are complete once `file()` is read to its end.
    """

    def __init__(self, request: web.Request, settings: Settings, texts: Collection[str] = ()) -> None:
        """Refuse a body that is compressed, too large or not a form, before its first byte."""
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise UnsupportedMediaTypeError("Send the form without Content-Encoding: uploads must not be compressed")
        if (request.content_length or 0) > settings.max_upload_size + ENVELOPE:
            raise TooLargeError(f"The file is too large: at most {settings.max_upload_size} bytes are stored")
        self.client = client_of(request, settings.trusted_proxies)
        self._body = Multipart(request, settings.body_timeout)
        self._digests = digests.sha256(request.headers)
        self.filename: str | None = None
        self.texts: dict[str, list[str]] = {name: [] for name in texts}

    async def file(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file; end only after the whole form is read.

        Raises InvalidRequestError, UnsupportedMediaTypeError, StalledError. The caller has to count the bytes.
        """
        found = False
        while part := await self._body.next():
            if part.name == FILE and not found:
                found = True
                self._open(part)
                while received := await self._body.read():
                    yield received
            elif part.name in self.texts:
                self.texts[part.name].append(await self._text())
            else:
                raise InvalidRequestError(f"The form takes one file in its field {FILE}, {self._others()}")
        if not found:
            raise InvalidRequestError(
                f"The form has no field {FILE}; send the file in it, as in curl -F {FILE}=@photo.jpg"
            )

    def check_digests(self, sha256: str) -> None:
        """Raise DigestMismatchError when the client named another SHA-256 for the file."""
        if self._digests - {sha256}:
            raise DigestMismatchError

    def _open(self, part: Part) -> None:
        if part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower() not in {"binary", "8bit", "7bit"}:
            raise UnsupportedMediaTypeError("Send the file without Content-Transfer-Encoding, as it is")
        self.filename = part.filename
        self._digests |= digests.sha256(part.headers)

    async def _text(self) -> str:
        text = b""
        while received := await self._body.read():
            text += received
            if len(text) > MAX_TEXT:
                raise InvalidRequestError("A text field of the form is longer than 4 KiB")
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError("A text field of the form is not UTF-8") from None

    def _others(self) -> str:
        return f"any number of fields {', '.join(self.texts)}, and nothing else" if self.texts else "and nothing else"
