"""A service that holds nothing yet, for measurements that store files: all of it is gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contestants, data
from benchmarks.contestants import KEPT


@dataclass(frozen=True)
class Place:
    """The service, its database, and a folder to make files in, on the same disk as its own."""

    port: int
    pid: int
    dsn: str
    folder: Path

    @property
    def store(self) -> Path:
        """The service's store."""
        return _files(self.folder)

    @property
    def objects(self) -> Path:
        """What the service stores."""
        return self.store / "objects"


@contextmanager
def service(server: str, **settings: str) -> Iterator[Place]:
    """Run the service on an empty database and an empty folder, with these settings."""
    with (
        tempfile.TemporaryDirectory(dir=KEPT) as folder,
        data.empty(server) as dsn,
        contestants.service(dsn, _files(Path(folder)), **settings) as running,
    ):
        yield Place(running.port, running.pid, dsn, Path(folder))


def _files(folder: Path) -> Path:
    return folder / "store"
