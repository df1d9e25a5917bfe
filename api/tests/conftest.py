"""Everything real: a PostgreSQL of the tests' own, a server on a free port, files in a temporary folder."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from http import HTTPMethod
from pathlib import Path
from typing import Any

import aiohttp
import psycopg2
import pytest
from aiohttp.test_utils import TestClient, TestServer

import buckets
import services
from kt_images import collector
from kt_images.application import create_app
from kt_images.base_settings import Settings
from kt_images.database import embedded, schema
from kt_images.database.connection import Connection, Limits
from kt_images.database.pool import Pool
from kt_images.files.disk import Disk
from postgresql import Restartable
from services import Service

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A temporary folder that the account of the database can reach, which pytest's own is not for root."""
    made = Path(tempfile.mkdtemp(prefix="kt-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def server_dsn(folder: Path) -> Iterator[str]:
    """A PostgreSQL of the tests' own; its database `postgres` gets our schema by `dsn`."""
    with embedded.running(folder / "db") as dsn:
        with contextlib.closing(psycopg2.connect(dsn)) as connection:
            connection.autocommit = True
            # Nobody takes the machine's power away; what a crash of PostgreSQL leaves is tested on a `database`.
            connection.cursor().execute("alter system set fsync = off")
            connection.cursor().execute("select pg_reload_conf()")
        yield dsn


@pytest.fixture(scope="session")
def bucket_server(folder: Path) -> Iterator[buckets.Server]:
    """A server with buckets, started when the first test needs it; tests are skipped where there is none."""
    with buckets.running(folder / "buckets") as server:
        yield server


@pytest.fixture
def bucket(bucket_server: buckets.Server, monkeypatch: pytest.MonkeyPatch) -> buckets.Buckets:
    """A bucket of the test's own, and credentials for it in the environment."""
    for name, value in buckets.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    made = buckets.Buckets(bucket_server)
    bucket_server.make(made.bucket)
    return made


@pytest.fixture
def bad_line(bucket: buckets.Buckets) -> Iterator[buckets.Proxy]:
    """A proxy between a store and its bucket, which does harm when told to."""
    with buckets.proxy(bucket.server.endpoint) as made:
        yield made


@pytest.fixture
async def dsn(server_dsn: str) -> str:
    """The tests' database, empty, with our schema."""
    connection = await Connection.open(server_dsn, Limits())
    await schema.upgrade(connection)
    await connection.query("truncate images, orphans, store restart identity cascade")
    connection.close()
    return server_dsn


@pytest.fixture
def new_database(server_dsn: str) -> Callable[[str], str]:
    """Make another database with our schema, anew where it is there; give its DSN."""

    def make(name: str) -> str:
        admin = psycopg2.connect(server_dsn)
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"drop database if exists {name} with (force)")
            cursor.execute(f"create database {name}")
        admin.close()
        made = server_dsn.replace("dbname=postgres", f"dbname={name}")
        asyncio.run(_upgrade(made))
        return made

    return make


async def _upgrade(dsn: str) -> None:
    connection = await Connection.open(dsn, Limits())
    await schema.upgrade(connection)
    connection.close()


@pytest.fixture
def database(folder: Path, request: pytest.FixtureRequest) -> Iterator[Restartable]:
    """A PostgreSQL of the test's own, without schema."""
    made = Restartable(folder / f"restart-{abs(hash(request.node.name))}")
    yield made
    made.running.__exit__(None, None, None)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with Pool(dsn, 4, Limits()) as made:
        yield made


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    return Settings(postgres_dsn=dsn, uploads_dir=tmp_path / "images", chunk_size=10)


class DeclaringClient(TestClient[Any, Any]):
    """A client that fails when an answer is not as openapi.json declares it, or an error is not in the one format."""

    document = json.loads((ROOT / "openapi.json").read_text())

    async def _request(self, method: str, path: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        response = await super()._request(method, path, **kwargs)
        if response.status >= 400 and method != HTTPMethod.HEAD:
            body = json.loads(await response.text())
            assert isinstance(body.pop("error"), str)
            assert set(body) <= {"details"}
        self._check_declared(method, response)
        return response

    def _check_declared(self, method: str, response: aiohttp.ClientResponse) -> None:
        path, paths = response.url.raw_path, self.document["paths"]
        for template, operations in {path: paths[path]}.items() if path in paths else paths.items():
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
                declared = operations.get("get" if method == HTTPMethod.HEAD else method.lower())
                if declared and not (response.status == 404 and "no such URL" in str(response._body)):
                    assert str(response.status) in declared["responses"], f"{method} {template} {response.status}"
                    answer = declared["responses"][str(response.status)]
                    types = answer.get("content", {})
                    assert any(_matches(response.content_type, one) for one in types) or (
                        not types and not response.content_length
                    ), f"{method} {template} {response.status} {response.content_type}"


def _matches(content_type: str, declared: str) -> bool:
    return re.fullmatch(declared.replace("*", ".*").replace("+", r"\+"), content_type) is not None


@pytest.fixture
async def serve(settings: Settings) -> AsyncIterator[Callable[..., Awaitable[DeclaringClient]]]:
    """Start a service with some settings changed; give its client."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> DeclaringClient:
            server = TestServer(create_app(settings.model_copy(update=changes)))
            return await stack.enter_async_context(DeclaringClient(server))

        yield start


@pytest.fixture
async def client(serve: Callable[..., Awaitable[DeclaringClient]]) -> DeclaringClient:
    return await serve()


@pytest.fixture(scope="session")
def running_service(server_dsn: str, folder: Path) -> Iterator[Service]:
    with services.running(server_dsn, folder, "service") as service:
        yield service


@pytest.fixture
def service(running_service: Service) -> Service:
    """The service as a process, without images."""
    running_service.empty()
    return running_service


@pytest.fixture
def mount(tmp_path):
    """Mount a small file system of its own; give its folder."""
    mounted = []

    def make(options):
        folder = tmp_path / f"mounted-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        try:
            tried = subprocess.run(command, check=False, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if tried.returncode:
            pytest.skip(f"nothing may be mounted here: {tried.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def uploads(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def cared_for(dsn, uploads):
    """Collect what is left over, then have the check find nothing; give its last line."""

    async def collect(folder):
        async with Pool(dsn, 2, Limits()) as pool:
            await collector.collect(pool, Disk(folder), (), grace=0)

    def care(folder=uploads):
        asyncio.run(collect(folder))
        flags = ["--postgres_dsn", dsn, "--uploads_dir", str(folder), "--deep", "--grace", "0"]
        command = [sys.executable, "-m", "kt_images.manage.check", *flags]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    return care


@pytest.fixture
def hang(monkeypatch):
    """Have a function hang in the store's threads until the end of the test, or until the event that is given is set."""
    events = []

    def make(place, name):
        event, original = threading.Event(), getattr(place, name)
        events.append(event)

        def hanging(*arguments, **options):
            if threading.current_thread() is not threading.main_thread():
                event.wait(30)
            return original(*arguments, **options)

        monkeypatch.setattr(place, name, hanging)
        return event

    yield make
    for event in events:
        event.set()


@pytest.fixture
async def made(client):
    """Make a key by an open service."""

    async def make(*scopes, **given):
        answer = await client.post("/keys", json={"name": "a test", "scopes": [*scopes], **given})
        assert answer.status == 201, await answer.text()
        return await answer.json()

    return make
