"""Two services on one database and one store, a collector beside them, and kills of all of them while clients work."""

import asyncio
import http.client
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from services import KEPT, Service, port_of_its_own, wait_until

GRACE = 4.0
# A service's settings allow no grace period so short.
COLLECTOR = f"""
import asyncio, logging
from kt_images import collector
from kt_images.base_settings import read_settings
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError
from kt_images.files.stores import store_of
from kt_images.pairing import pair

async def main():
    settings = read_settings([])
    store = store_of(settings)
    async with Pool(settings.postgres_dsn, 2, Limits()) as pool:
        while True:
            try:
                await pair(pool, store)
            except KtImagesError:
                await asyncio.sleep(0.5)
            else:
                await collector.keep_collecting(pool, store, settings.thumbnail_widths, 0.5, {GRACE})

logging.basicConfig(level=logging.INFO)
asyncio.run(main())
"""
PROBE_SECONDS = 0.25


class Fleet:
    """The processes."""

    def __init__(self, dsn: str, folder: Path, environment: dict[str, str], services: int = 2) -> None:
        self.folder = folder
        self.services: list[Service] = []
        for number in range(services):
            home = folder / f"service-{number}"
            home.mkdir()
            limits = {"KT_IMAGES_MAX_UPLOAD_SIZE": str(2**26)}
            self.services.append(Service(dsn, home, port_of_its_own(), environment=environment | limits))
            self.services[-1].start()
        self._collector: subprocess.Popen[bytes] | None = None
        self.environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {"POSTGRES_DSN": dsn}
        self.environment |= {"KT_IMAGES_UPLOADS_DIR": str(folder / "service-0" / "images")} | environment

    def start_collector(self) -> None:
        with (self.folder / "collector.log").open("ab") as log:
            self._collector = subprocess.Popen(
                [sys.executable, "-c", COLLECTOR], env=self.environment, stdout=log, stderr=log, cwd=self.folder
            )

    def kill_collector(self) -> None:
        if self._collector:
            self._collector.kill()
            self._collector.wait()
            self._collector = None

    def manage(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the commands of `kt_images.manage`."""
        words = [sys.executable, "-m", f"kt_images.manage.{command}", *arguments]
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=600, check=False, cwd=self.folder
        )

    def log(self) -> str:
        """What all of them have complained of."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("**/*.log")))

    def megabytes(self) -> list[float]:
        """What each service has resident, with its processes that decode."""
        return [_resident(service.process.pid) for service in self.services if service.process]

    def close(self) -> None:
        self.kill_collector()
        for service in self.services:
            service.end(signal.SIGKILL)


def _listens(service: Service) -> bool:
    try:
        service.json("/healthz")
    except OSError:
        assert service.process
        assert service.process.poll() is None, "a service does not start again"
        return False
    return True


def _resident(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


class Storm:
    """Kills, one after the other of each kind, all kinds at once."""

    def __init__(self, fleet: Fleet, server, seed: int = 0, pause: float = 6.0) -> None:
        self._fleet, self._server, self._pause = fleet, server, pause
        self._dice = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.megabytes: list[float] = []  # the most of a service at each look
        self.health: list[float] = []  # seconds that /healthz took
        self.ended: list[str] = []  # services that ended without being told so
        self._killed: set[str] = set()  # the URLs of services that are not up again yet
        self._over = False

    async def __aenter__(self) -> "Storm":
        self._fleet.start_collector()
        kinds = [self._kill_service(service) for service in self._fleet.services]
        kinds += [self._kill_part(part) for part in self._server.kills]
        self._tasks = [asyncio.create_task(kind) for kind in (*kinds, self._kill_collector(), self._watch())]
        return self

    async def __aexit__(self, *_) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _kill_service(self, service: Service) -> None:
        while not await self._waited(len(self._fleet.services)):
            self._killed.add(service.url)
            await asyncio.to_thread(service.end, signal.SIGKILL)
            self.kills["service"] += 1
            service.launch()
            await asyncio.to_thread(wait_until, lambda: _listens(service), 60)
            self._killed.discard(service.url)

    async def _kill_part(self, part: str) -> None:
        while not await self._waited(2 if part == "osd" else 1):
            await asyncio.to_thread(self._server.kill, part)
            self.kills[part] += 1
            await asyncio.sleep(self._dice.uniform(0.1, 2))
            await asyncio.to_thread(self._server.start, part)

    async def _kill_collector(self) -> None:
        while not await self._waited(2):
            self._fleet.kill_collector()
            self.kills["collector"] += 1
            self._fleet.start_collector()

    async def _waited(self, times: float) -> bool:
        """Wait for the next kill; return whether there is to be none."""
        until = time.monotonic() + times * self._dice.uniform(0.3, 1.7) * self._pause
        while time.monotonic() < until and not self._over:
            await asyncio.sleep(0.05)
        return self._over

    async def _watch(self) -> None:
        while not self._over:
            for service in self._fleet.services:
                was_killed, started = service.url in self._killed, time.monotonic()
                try:
                    await asyncio.to_thread(service.json, "/healthz")
                    self.health.append(time.monotonic() - started)
                except (OSError, ValueError, http.client.HTTPException) as error:
                    if not was_killed and service.url not in self._killed:
                        self.ended.append(f"{service.url}/healthz: {error!r}")
            self.megabytes.append(max(self._fleet.megabytes(), default=0))
            await asyncio.sleep(PROBE_SECONDS)
