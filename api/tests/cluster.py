"""Two services, three PostgreSQL servers under Patroni, and nginx in front, as processes of this machine."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from conftest import ROOT
from services import KEPT, wait_until

DEPLOYED = ROOT / "api" / "deploy"
NAMES = ("a", "b", "c")
PASSWORD = "secret of the tests"


def find(program: str) -> str | None:
    """Return where a program is, also one that is not on everybody's PATH."""
    folders = [os.environ["PATH"], str(Path(sys.executable).parent), "/usr/local/sbin", "/usr/sbin"]
    return shutil.which(program, path=":".join(folders))


def newest_postgresql() -> Path | None:
    """Return the folder of Debian's newest PostgreSQL, which its account can reach."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Ports:
    """Ports that are free, each given once."""

    def __init__(self, first: int = 24000) -> None:
        self._next = first

    def take(self) -> int:
        while True:
            self._next += 1
            with socket.socket() as attempt, contextlib.suppress(OSError):
                attempt.bind(("127.0.0.1", self._next))
                return self._next


class Process:
    """A program that can be killed, with all that it started, and started again."""

    def __init__(
        self, folder: Path, name: str, command: list[str], account: str | None = None, **environment: str
    ) -> None:
        self._log, self._command, self._account = folder / f"{name}.log", command, account
        self._environment = {name: os.environ[name] for name in KEPT if name in os.environ} | environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        identity = {"user": self._account, "group": self._account, "extra_groups": []} if self._account else {}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, cwd="/", start_new_session=True, **identity
            )  # fmt: skip

    def kill(self) -> None:
        if self._process:
            everybody = [self._process, *psutil.Process(self._process.pid).children(recursive=True)]
            for one in everybody:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return self._log.read_text()


class Servers:
    """etcd, and three PostgreSQL servers of which Patroni makes one the primary."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        self.folder, account = folder, "postgres" if os.geteuid() == 0 else None
        client, peer = ports.take(), ports.take()
        urls = [f"http://127.0.0.1:{port}" for port in (client, peer)]
        self.etcd = Process(
            folder, "etcd",
            [find("etcd") or "", "--name=e", f"--data-dir={folder}/etcd", "--unsafe-no-fsync",
             f"--listen-client-urls={urls[0]}", f"--advertise-client-urls={urls[0]}",
             f"--listen-peer-urls={urls[1]}", f"--initial-advertise-peer-urls={urls[1]}", f"--initial-cluster=e={urls[1]}"],
        )  # fmt: skip
        self.ports = {name: ports.take() for name in NAMES}
        self.rest = {name: ports.take() for name in NAMES}
        configuration = folder / "patroni.yml"
        shutil.copy(DEPLOYED / "scale" / "patroni.yml", configuration)
        configuration.chmod(0o644)
        self.patroni = {
            name: Process(folder, f"patroni-{name}", [find("patroni") or "", str(configuration)], account, **self.variables(name, client))
            for name in NAMES
        }  # fmt: skip
        for name in NAMES:
            (folder / name).mkdir()
            if account:
                shutil.chown(folder / name, account, account)

    def variables(self, name: str, etcd: int) -> dict[str, str]:
        """What differs from server to server, and what a machine of its own would not need."""
        return {
            "PATRONI_NAME": name,
            "PATRONI_ETCD3_HOSTS": f"'127.0.0.1:{etcd}'",
            "PATRONI_POSTGRESQL_LISTEN": f"127.0.0.1:{self.ports[name]}",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"127.0.0.1:{self.ports[name]}",
            "PATRONI_RESTAPI_LISTEN": f"127.0.0.1:{self.rest[name]}",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"127.0.0.1:{self.rest[name]}",
            "PATRONI_POSTGRESQL_DATA_DIR": str(self.folder / name / "data"),
            "PATRONI_POSTGRESQL_BIN_DIR": str(newest_postgresql()),
            "PATRONI_SUPERUSER_PASSWORD": PASSWORD,
            "PATRONI_REPLICATION_PASSWORD": PASSWORD,
            "PATRONI_REWIND_PASSWORD": PASSWORD,
            "PGHOST": str(self.folder / name),
        }

    @property
    def dsn(self) -> str:
        ports = ",".join(map(str, self.ports.values()))
        return (
            f"host=127.0.0.1,127.0.0.1,127.0.0.1 port={ports} user=postgres password='{PASSWORD}' dbname=postgres "
            "target_session_attrs=read-write"
        )

    def roles(self) -> Mapping[str, str]:
        """Return what each server is, of those that run: the primary, the standby that commits wait for, or another."""
        found = {}
        for name, port in self.rest.items():
            with (
                contextlib.suppress(OSError, ValueError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/patroni", timeout=5) as answer,
            ):
                state = json.load(answer)
                if state["state"] == "running":
                    is_primary = state["role"] in ("primary", "master")  # the word of version 4, and of those before
                    found[name] = "primary" if is_primary else "sync" if state.get("sync_standby") else "standby"
        return found

    def primary(self) -> str | None:
        return next((name for name, role in self.roles().items() if role == "primary"), None)

    def are_whole(self) -> bool:
        """Return whether all three run, one of them as the primary and one as the standby that commits wait for."""
        return sorted(self.roles().values()) == ["primary", "standby", "sync"]

    def start(self) -> None:
        self.etcd.start()
        for process in self.patroni.values():
            process.start()
        wait_until(self.are_whole, 120)

    def crash(self, name: str) -> None:
        """Kill PostgreSQL alone; Patroni lives."""
        os.kill(int((self.folder / name / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def end(self) -> None:
        for process in (*self.patroni.values(), self.etcd):
            process.kill()


class Bucket:
    """SeaweedFS with one bucket, which keeps what it has when it is killed and started again."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        (folder / "bucket").mkdir()
        key, secret = "key", "secret"
        identity = {
            "name": "kt",
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = (ports.take() for _ in range(8))
        self._places = f"-master=127.0.0.1:{master}.{master_grpc}", f"-filer=127.0.0.1:{filer}.{filer_grpc}"
        flags = {
            "dir": folder / "bucket", "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "master.telemetry": "false",
            "master.port": master, "master.port.grpc": master_grpc, "master.volumeSizeLimitMB": 64,
            "volume.port": volume, "volume.port.grpc": volume_grpc, "volume.max": 100, "volume.minFreeSpace": "1",
            "filer": "true", "filer.port": filer, "filer.port.grpc": filer_grpc, "filer.localSocket": folder / "filer.sock",
            "s3": "true", "s3.port": s3, "s3.port.grpc": s3_grpc, "s3.port.iceberg": 0, "s3.port.lance": 0,
            "s3.localSocket": folder / "s3.sock", "s3.config": folder / "s3.json",
        }  # fmt: skip
        self._process = Process(
            folder,
            "weed",
            [find("weed") or "", "-logtostderr=true", "server", *(f"-{k}={v}" for k, v in flags.items())],
        )
        self.environment = {
            "KT_IMAGES_STORE": "s3://images/files",
            "KT_IMAGES_STORE_ENDPOINT": f"http://127.0.0.1:{s3}",
            "KT_IMAGES_STORE_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }

    def start(self) -> None:
        self._process.start()
        wait_until(self._is_made, 60)

    def kill(self) -> None:
        self._process.kill()

    def _is_made(self) -> bool:
        """Make the bucket unless it is there; return whether it is."""
        words = "s3.bucket.create -name images\ns3.bucket.list\n"
        command = [find("weed") or "", "shell", *self._places]
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, input=words, capture_output=True, text=True, check=False, timeout=10)
            return "  images" in done.stdout
        return False


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Servers]:
    servers = Servers(folder, Ports())
    try:
        servers.start()
        yield servers
    finally:
        servers.end()
