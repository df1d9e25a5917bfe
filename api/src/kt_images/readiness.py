"""Readiness: whether requests can be served, and what is worse than it should be, within two seconds.

Probes that come at the same time share a look. What hangs is not asked again before it has answered.
"""

import asyncio
import time
from dataclasses import dataclass

from kt_images.base_settings import Settings
from kt_images.database import replication, schema, stores
from kt_images.database.database import Database
from kt_images.errors import DiskFullError, KtImagesError, SchemaError, StoreMovedError
from kt_images.files.store import Store
from kt_images.files.threads import StuckError

# A monitor must not wait for a database or a disk that hangs.
PATIENCE_SECONDS = 1.2
# Between two probes that write, however many ask.
WRITING_SECONDS = 1.0

STORE_FULL = "The store is full: files are refused"
STORE_NEARLY_FULL = "The store is nearly full"
REPLICA_AWAY = "No replica can be reached: the primary is read instead"
REPLICA_BEHIND = "The replica is behind: what it shows is old"


@dataclass(frozen=True)
class State:
    """What cannot be reached, by names, and what is worse than it should be, in sentences."""

    unreachable: list[str]
    reasons: list[str]
    why: str = ""  # cannot it be reached, where somebody has to do something about it


@dataclass(frozen=True)
class Space:
    """The bytes that a store has free, None where nobody knows."""

    free: int | None


class Readiness:
    """Looks at the database, the replicas and the store."""

    def __init__(self, database: Database, store: Store, settings: Settings) -> None:
        self._database, self._store, self._settings = database, store, settings
        self._looking: asyncio.Task[State] | None = None
        self._examining: asyncio.Task[Space | None] | None = None
        self._space_found, self._written = Space(None), 0.0  # as of a moment of the loop's clock

    async def state(self) -> State:
        """Return what is so now, or was found by a look that is under way."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> State:
        missing, space, reason = await asyncio.gather(self._missing(), self._space(), self._replicas())
        unreachable = {missing: None} if missing else {}
        reasons = [reason] if reason else []
        if space is None:
            unreachable["store"] = None
        elif space.free is None:
            pass
        elif not space.free:
            reasons.append(STORE_FULL)
        elif space.free < self._settings.min_free_bytes:
            reasons.append(STORE_NEARLY_FULL)
        return State(list(unreachable), reasons, StoreMovedError.sentence if missing == "store" else "")

    async def _missing(self) -> str | None:
        """Return what is missing of the database."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await schema.check(self._database.primary.statements)
                await stores.check(self._database.primary.statements, self._store.entered)
        except StoreMovedError:
            return "store"
        except SchemaError:
            return "schema"
        except (KtImagesError, TimeoutError):
            return "database"
        return None

    async def _space(self) -> Space | None:
        """Return the store's space, None if it cannot be written."""
        if self._examining is None or self._examining.done():
            self._examining = asyncio.create_task(self._examine())
        # Not cancelled when it takes longer: a thread that hangs in a system call cannot be.
        done, _ = await asyncio.wait([self._examining], timeout=PATIENCE_SECONDS)
        return self._examining.result() if done else None

    async def _examine(self) -> Space | None:
        try:
            if time.monotonic() - self._written < WRITING_SECONDS:
                await self._store.check()
            else:
                self._space_found = Space(await self._store.probe())
                self._written = time.monotonic()
        except DiskFullError:
            self._space_found, self._written = Space(0), time.monotonic()
        except StuckError as error:
            await asyncio.wait([error.pending])
            return None
        except (KtImagesError, OSError):
            return None
        return self._space_found

    async def _replicas(self) -> str | None:
        """Return what is wrong with the replicas."""
        primary, replica = self._database.primary.statements, self._database.replica.statements
        if replica is primary:
            return None
        tolerated = self._settings.max_replica_lag
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                lag = await replication.lag(primary, replica, tolerated)
        except (KtImagesError, TimeoutError):
            lag = None
        if lag is None:
            return REPLICA_AWAY
        return REPLICA_BEHIND if lag > tolerated else None
