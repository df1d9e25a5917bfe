"""Sessions: a browser's page exchanges a key for a cookie, which no script can read.

The cookie names the key, says when it ends, and is signed; it holds nothing of the key's secret, and no row is kept of
it. `<id of the key>.<end>.<mark>.<signature>`: the end in seconds since 1970, the mark of the secret that it was
opened with (so that it ends with that secret), and a signature (HMAC-SHA-256) of all that stands before it.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kt_images.access.secrets import ID_LENGTH, Secret

COOKIE = "kt_images_session"
# In seconds; a session is not prolonged.
LIFETIME = 30 * 24 * 3600
# That the database's secret is known for: when it is changed, all sessions end within this time.
SECONDS = 5.0

MARK_LENGTH = 32
_SHAPE = re.compile(rf"(([0-9A-Za-z]{{{ID_LENGTH}}})\.([0-9]{{1,12}})\.([0-9a-f]{{{MARK_LENGTH}}}))\.([0-9a-f]{{64}})")


@dataclass(frozen=True)
class Session:
    """A session whose signature is right: of which key, and until when."""

    key_id: str
    ends: int
    mark: str
    signer: bytes = field(repr=False)

    @property
    def expires_at(self) -> datetime:
        """When it ends."""
        return datetime.fromtimestamp(self.ends, UTC)

    @property
    def text(self) -> str:
        """The cookie's value."""
        body = f"{self.key_id}.{self.ends}.{self.mark}"
        return f"{body}.{_signature(self.signer, body)}"

    def proves(self, digest: str) -> bool:
        """Return whether the session was opened with the secret of this digest; in constant time."""
        return hmac.compare_digest(self.mark, _mark(self.signer, digest))


class Sessions:
    """Opens sessions and reads them, with the secret of the database."""

    def __init__(self, find: Callable[[], Awaitable[bytes]]) -> None:
        """`find` asks the database for the secret."""
        self._find = find
        self._signer, self._since = b"", -SECONDS

    async def open(self, secret: Secret, most: float | None) -> Session:
        """Return a new session of the key, which ends after `most` seconds at the latest."""
        signer = await self._look()
        seconds = LIFETIME if most is None else min(LIFETIME, int(most))
        return Session(secret.key_id, int(time.time()) + seconds, _mark(signer, secret.digest), signer)

    async def read(self, text: str) -> Session | None:
        """Return the session of a cookie, None if there is none, or none any more. Forged ones cost no statement."""
        if not (found := _SHAPE.fullmatch(text)):
            return None
        body, key_id, ends, mark, signature = found.groups()
        signer = await self._look()
        if not hmac.compare_digest(signature, _signature(signer, body)) or int(ends) <= time.time():
            return None
        return Session(key_id, int(ends), mark, signer)

    async def _look(self) -> bytes:
        if time.monotonic() - self._since >= SECONDS:
            asked = time.monotonic()
            self._signer, self._since = await self._find(), asked
        return self._signer


def _signature(signer: bytes, body: str) -> str:
    return hmac.new(signer, f"session {body}".encode(), hashlib.sha256).hexdigest()


def _mark(signer: bytes, digest: str) -> str:
    return hmac.new(signer, f"mark {digest}".encode(), hashlib.sha256).hexdigest()[:MARK_LENGTH]
