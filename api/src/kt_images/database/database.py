"""The database: its primary, and the replicas that are read instead of it."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from kt_images.base_settings import Settings
from kt_images.database.connection import Limits
from kt_images.database.hosts import preferring_standbys
from kt_images.database.pool import Pool
from kt_images.database.shared import Shared


@dataclass(frozen=True)
class Pools:
    """Connections to the same servers, in two pools so that a crowd of slow lists takes none from single statements.

    What requests can share goes through `shared`, on the pool `statements`.
    """

    statements: Pool
    streams: Pool
    shared: Shared

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str, settings: Settings, fallback: str = "") -> AsyncIterator[Self]:
        """Connect on demand; `fallback` is the DSN to use while `dsn` is unreachable."""
        limits = Limits(
            settings.connect_timeout, settings.acquire_timeout, settings.statement_timeout, settings.lock_timeout
        )
        # A list waits longer for a connection than other requests: slow readers come in crowds.
        patient = dataclasses.replace(limits, acquire=max(limits.acquire, settings.stream_patience))
        async with (
            Pool(dsn, settings.pool_size, limits, fallback) as statements,
            Pool(dsn, settings.stream_pool_size, patient, fallback) as streams,
        ):
            yield cls(statements, streams, Shared(statements))


@dataclass(frozen=True)
class Database:
    """The primary, which accepts changes, and the replicas; without replicas both are the primary."""

    primary: Pools
    replica: Pools

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str, settings: Settings) -> AsyncIterator[Self]:
        """Connect, on demand, to the primary at `dsn` and to the replicas in the settings."""
        async with Pools.open(dsn, settings) as primary:
            if not settings.postgres_replica_dsn:
                yield cls(primary, primary)
                return
            replicas = preferring_standbys(settings.postgres_replica_dsn)
            async with Pools.open(replicas, settings, fallback=dsn) as replica:
                yield cls(primary, replica)
