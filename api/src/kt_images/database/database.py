"""The database: its primary, and the replicas that are read instead of it."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

from kt_images.base_settings import Settings
from kt_images.database.connection import Limits
from kt_images.database.hosts import preferring_standbys
from kt_images.database.pool import Pool, Watch
from kt_images.database.shared import Shared
from kt_images.presence import Presence


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
    async def open(
        cls, dsn: str, settings: Settings, presences: Sequence[Presence], prefix: str = "", fallback: str = ""
    ) -> AsyncIterator[Self]:
        """Connect on demand; `fallback` is the DSN to use while `dsn` is unreachable.

        The `presences` are told of the servers at `dsn` and at `fallback`; the metrics know the pools by `prefix`.
        """
        limits = Limits(
            settings.connect_timeout, settings.acquire_timeout, settings.statement_timeout, settings.lock_timeout
        )
        # A list waits longer for a connection than other requests: slow readers come in crowds.
        patient = dataclasses.replace(limits, acquire=max(limits.acquire, settings.stream_patience))
        async with (
            Pool(dsn, settings.pool_size, limits, fallback, Watch(f"{prefix}statements", *presences)) as statements,
            Pool(dsn, settings.stream_pool_size, patient, fallback, Watch(f"{prefix}lists", *presences)) as streams,
        ):
            yield cls(statements, streams, Shared(statements))


@dataclass(frozen=True)
class Database:
    """The primary, which accepts changes, and the replicas; without replicas both are the primary.

    `presence` is the primary's.
    """

    primary: Pools
    replica: Pools
    presence: Presence

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str, settings: Settings) -> AsyncIterator[Self]:
        """Connect, on demand, to the primary at `dsn` and to the replicas in the settings."""
        presence = Presence("database")
        async with Pools.open(dsn, settings, [presence]) as primary:
            if not settings.postgres_replica_dsn:
                yield cls(primary, primary, presence)
                return
            replicas = preferring_standbys(settings.postgres_replica_dsn)
            both = [Presence("replicas"), presence]
            async with Pools.open(replicas, settings, both, "replica_", fallback=dsn) as replica:
                yield cls(primary, replica, presence)
