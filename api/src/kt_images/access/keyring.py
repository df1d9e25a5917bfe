"""The keyring: what the service knows of the keys that are being used."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kt_images.database.keys import Known
from kt_images.errors import ExpiredKeyError, UnknownKeyError
from kt_images.models.scopes import Scope

# That a key is known for: one that was revoked by another process works for as long.
SECONDS = 5.0
# Before a key is looked at again because its secret is another than before: it may have been rotated elsewhere.
AGAIN_SECONDS = 1.0
MOST = 10_000


class Proof(Protocol):
    """What a caller shows to be the holder of a key: its secret, or a session that was opened with it."""

    @property
    def key_id(self) -> str: ...

    def proves(self, digest: str) -> bool:
        """Return whether the key's secret has this digest."""


@dataclass(frozen=True)
class Holder:
    """Who calls: the key's id and name, what it may do, and when it ends."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None
    # Until then, None for ever.
    seconds: float | None = None


class Keyring:
    """Knows keys by their ids, those that do not exist too, so that guessing asks the database for little."""

    def __init__(self, find: Callable[[str], Awaitable[Known | None]]) -> None:
        """`find` asks the database for a key."""
        self._find = find
        self._known: OrderedDict[str, tuple[Known | None, float]] = OrderedDict()
        self._used: set[str] = set()
        self._changes = 0

    async def holder(self, proof: Proof, *, from_memory: bool = True) -> Holder:
        """Return whose secret or session it is; not `from_memory`, as it is now.

        Raises UnknownKeyError, ExpiredKeyError, and what asking the database does.
        """
        known, since = await self._look(proof.key_id, SECONDS if from_memory else 0)
        if not _matches(known, since, proof):
            known, since = await self._look(proof.key_id, AGAIN_SECONDS)
        if known is None or not _matches(known, since, proof):
            raise UnknownKeyError
        _refuse_expired(known, since)
        self._used.add(known.key_id)
        scopes = frozenset(Scope(scope) for scope in known.scopes)
        seconds = None if known.seconds is None else since + known.seconds - time.monotonic()
        return Holder(known.key_id, known.name, scopes, known.expires_at, seconds)

    async def check(self, holder: Holder) -> None:
        """Raise UnknownKeyError or ExpiredKeyError if the key has ended by now."""
        known, since = await self._look(holder.key_id, SECONDS)
        if known is None:
            raise UnknownKeyError
        _refuse_expired(known, since)

    def forget(self, key_id: str) -> None:
        """Look the key up at its next use: it was changed."""
        self._known.pop(key_id, None)
        self._changes += 1

    def take_used(self) -> set[str]:
        """Return the ids of the keys that were used since the last time."""
        used, self._used = self._used, set()
        return used

    async def _look(self, key_id: str, seconds: float) -> tuple[Known | None, float]:
        """Return what was known of the key at most so many seconds ago, and when."""
        found = self._known.get(key_id)
        if found and time.monotonic() - found[1] < seconds:
            return found
        asked, changes = time.monotonic(), self._changes
        found = (await self._find(key_id), asked)
        if changes != self._changes:
            return found  # it may be what was so before the change: not to be kept
        self._known[key_id] = found
        self._known.move_to_end(key_id)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return found


def _refuse_expired(known: Known, since: float) -> None:
    if known.seconds is not None and since + known.seconds <= time.monotonic():
        raise ExpiredKeyError


def _matches(known: Known | None, since: float, proof: Proof) -> bool:
    if known is None:
        return False
    is_current = proof.proves(known.digest)
    is_old = known.old_digest is not None and proof.proves(known.old_digest)
    return is_current or (is_old and since + (known.old_seconds or 0) > time.monotonic())
