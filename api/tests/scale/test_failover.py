"""Every part of a service at scale fails in the middle of uploads and lists; clients that try again see nothing wrong."""

import asyncio
import contextlib
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field

import pytest

import cluster
from cluster import DEPLOYED, Bucket, Ports, Process, Servers, find
from kt_images.client import Client, ClientError
from pictures import drawn
from services import Service, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find("etcd") and find("patroni") and find("nginx") and cluster.newest_postgresql()),
        reason="needs etcd, patroni, nginx and PostgreSQL as Debian's etcd-server, patroni, nginx-light, postgresql bring them",
    ),
]

PATIENCE = 90.0  # seconds that a client goes on trying: longer than it takes to find another primary


@dataclass
class Load:
    """Clients that upload and list, and what they were told."""

    url: str
    stored: dict[int, str] = field(default_factory=dict)  # acknowledged: the image's id, and its file's SHA-256
    lists: int = 0
    broken: int = 0
    failures: list[ClientError] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def upload(self) -> None:
        async with Client(self.url, patience=PATIENCE) as client:
            while not self.ended.is_set():
                number = next(self.numbers)
                content = drawn("PNG", size=(8 + number % 200, 8 + number // 200))
                try:
                    uploaded = await client.upload(content, f"{number}.png", [f"tag{number % 5}"])
                except ClientError as error:
                    self.failures.append(error)
                else:
                    self.stored[uploaded.image.image_id] = hashlib.sha256(content).hexdigest()

    async def list(self) -> None:
        async with Client(self.url, patience=PATIENCE) as client:
            while not self.ended.is_set():
                before = set(self.stored)
                try:
                    listed = [image.image_id async for image in client.images()]
                except ClientError:
                    self.broken += 1  # it says so, and is asked for again
                    await asyncio.sleep(0.1)
                    continue
                self.lists += 1
                if not before <= set(listed) or listed != sorted(set(listed)):
                    raise AssertionError(sorted(before - set(listed)))

    async def goes_on(self) -> None:
        """Wait until uploads and lists that begin now have ended."""
        uploads, lists = len(self.stored) + 30, self.lists + 3
        async with asyncio.timeout(PATIENCE):
            while len(self.stored) < uploads or self.lists < lists:
                await asyncio.sleep(0.1)


def answers(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


@pytest.fixture
def servers(folder):
    home = folder / "cluster"
    home.mkdir(mode=0o711)
    with cluster.running(home) as running:
        yield running


@pytest.fixture
def bucket(servers: Servers):
    """The store of both services: a bucket where there is a wheel of SeaweedFS, else None for a folder that they share."""
    made = Bucket(servers.folder, Ports(25000)) if find("weed") else None
    if made:
        made.start()
    yield made
    if made:
        made.kill()


@pytest.fixture
def services(servers: Servers, bucket):
    command = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--upgrade", "--postgres_dsn", servers.dsn]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    ports, made = Ports(), []
    for _ in range(2):
        home = servers.folder / f"service-{len(made)}" if bucket else servers.folder
        home.mkdir(exist_ok=True)
        environment = bucket.environment if bucket else {}
        made.append(Service(servers.dsn, home, ports.take(), environment=environment))
        made[-1].start()
    yield made
    for service in made:
        service.end(signal.SIGKILL)


@pytest.fixture
def web(servers: Servers, services):
    """nginx in front of both, with the files that the compose file gives it; and its URL."""
    home = servers.folder / "web"
    places = " ".join(f"127.0.0.1:{service.port}" for service in services)
    command = ["sh", DEPLOYED / "scale" / "web.sh", DEPLOYED / "nginx", home]
    subprocess.run(command, env={**os.environ, "KT_IMAGES_SERVERS": places}, check=True, timeout=20)
    port = Ports().take()
    site, process = home / "kt-images.conf", home / "nginx.conf"
    site.write_text(
        site.read_text().replace("listen 8080 backlog=4096", f"listen 127.0.0.1:{port}")
        .replace("/tmp/", f"{home}/")
    )  # fmt: skip
    user = "user root;\n" if os.geteuid() == 0 else ""
    process.write_text(
        user + process.read_text().replace("/tmp/", f"{home}/").replace("/dev/stdout", f"{home}/access.log")
        .replace("16384", "2048").replace("8192", "1024")
    )  # fmt: skip
    nginx = Process(home, "nginx", [find("nginx"), "-e", "stderr", "-c", str(process)])
    nginx.start()
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/readyz"))
    yield nginx, url
    nginx.kill()


async def test_clients_see_nothing_wrong_while_each_part_fails_over(servers: Servers, bucket, services, web):
    nginx, url = web
    load = Load(url)

    async def in_thread(*calls):
        for call in calls:
            await asyncio.to_thread(call)
        await load.goes_on()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(load.upload())
        for _ in range(2):
            group.create_task(load.list())
        await load.goes_on()
        for service in services:
            await in_thread(service.end)
            await in_thread(service.start)
        await in_thread(nginx.kill, nginx.start)
        if bucket:
            await in_thread(bucket.kill, bucket.start)
        # PostgreSQL alone
        former = servers.primary()
        await in_thread(lambda: servers.crash(former))
        await asyncio.to_thread(cluster.wait_until, servers.are_whole, 90)
        assert servers.primary() != former
        # Its machine
        former = servers.primary()
        await in_thread(servers.patroni[former].kill)
        assert servers.primary() != former
        await in_thread(servers.patroni[former].start)
        await asyncio.to_thread(cluster.wait_until, servers.are_whole, 90)
        await in_thread(services[0].end, services[0].start)
        load.ended.set()
    print(f"{len(load.stored)} uploads, {load.lists} lists, {load.broken} broken ones")
    assert load.failures == []
    await compare(load, services)


async def compare(load: Load, services):
    for service in services:
        async with Client(service.url) as client:
            assert set(load.stored) <= {image.image_id async for image in client.images()}
            for image_id, sha256 in load.stored.items():
                (attachment,) = await client.attachments(image_id)
                content = await client.media(image_id, attachment.filename)
                assert hashlib.sha256(content).hexdigest() == sha256
    command = [sys.executable, "-m", "kt_images.manage.check", "--deep", "--postgres_dsn", services[0].dsn]
    command += ["--uploads_dir", str(services[0].folder / "images")]
    environment = {**os.environ, **services[0].environment}
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
