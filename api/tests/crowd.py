"""Clients of several services that upload, replace, delete and read, and know what must be there."""

import asyncio
import hashlib
import io
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from pictures import drawn
from services import Service

GONE = None  # what lies in a place where there is no attachment

# How often each is done. A large file goes to the store in parts.
DEEDS = {"create": 3, "upload": 6, "replace": 4, "read": 5, "thumbnail": 1, "delete": 2, "delete_image": 1}
SIZES = {(40, 40): 90, (300, 300): 9, (1800, 1800): 1}
PICTURES = {size: drawn("BMP", size) for size in SIZES}
NAMES = ("a", "b", "c")
# A server that cannot do it says so; a client asks again.
REFUSED = (503, 504)
BREATH = 0.1  # seconds, after a refusal
MUTE = "no answer"


@dataclass
class Seen:
    """What the clients saw."""

    answers: Counter[tuple[str, int | str]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    acknowledged: int = 0

    def slowest(self) -> dict[str, str]:
        """The median, the 99th of a hundred and the slowest answer to each kind of request, in seconds."""
        return {
            deed: f"{statistics.median(all_):.2f} {sorted(all_)[len(all_) * 99 // 100]:.2f} {max(all_):.2f}"
            for deed, all_ in self.seconds.items()
        }


class Member:
    """A client with images of its own: `expected` has, for each place, the hashes of what may be there."""

    def __init__(self, session: aiohttp.ClientSession, services: list[Service], seed: int, bound: float, seen: Seen):
        self._session, self._services, self._bound, self.seen = session, services, bound, seen
        self._dice = random.Random(seed)
        self._serial = 0
        self._seed = seed
        self.expected: dict[tuple[int, str], set[str | None]] = {}

    async def act(self) -> None:
        """Do one thing."""
        (deed,) = self._dice.choices(list(DEEDS), list(DEEDS.values()))
        if not await getattr(self, f"_{deed}")():
            await asyncio.sleep(BREATH)

    async def _create(self) -> bool:
        content, digest = self._picture()
        status, answer = await self._ask("create", "POST", "/images/upload", data=_form(content, "a"))
        if status == 201:
            self.expected[answer["image_id"], "a"] = {digest}
            self.seen.acknowledged += 1
        return self._judge("create", status, {201})

    async def _upload(self) -> bool:
        image_id = self._image()
        return await self._put((image_id, self._dice.choice(NAMES))) if image_id else await self._create()

    async def _replace(self) -> bool:
        place = self._place()
        return await self._put(place) if place else await self._create()

    async def _put(self, place: tuple[int, str]) -> bool:
        content, digest = self._picture()
        could_be_gone = self._may_be_gone(place[0])
        self.expected[place] = {*self.expected.get(place, {GONE}), digest}
        path = f"/images/{place[0]}/attachment/{place[1]}"
        status, _ = await self._ask("upload", "POST", path, data=_form(content, "x"))
        if status == 200:
            self.expected[place] = {digest}
            self.seen.acknowledged += 1
        elif status == 404:  # an earlier deletion of the image, of which nobody knew whether it was done
            for gone in [one for one in self.expected if one[0] == place[0]]:
                self.expected[gone] = {GONE}
        return self._judge("upload", status, {200, 404} if could_be_gone else {200})

    async def _delete(self) -> bool:
        place = self._place()
        if not place:
            return True
        before = self.expected[place]
        self.expected[place] = {*before, GONE}
        status, _ = await self._ask("delete", "DELETE", f"/images/{place[0]}/attachment/{place[1]}")
        if status in {204, 404}:
            self.expected[place] = {GONE}
        return self._judge("delete", status, {204, 404} if GONE in before else {204})

    async def _delete_image(self) -> bool:
        if not (image_id := self._image()):
            return True
        could_be_gone = self._may_be_gone(image_id)
        mine = [place for place in self.expected if place[0] == image_id]
        for place in mine:
            self.expected[place] |= {GONE}
        status, _ = await self._ask("delete image", "DELETE", f"/images/{image_id}")
        if status in {204, 404}:
            for place in mine:
                self.expected[place] = {GONE}
        return self._judge("delete image", status, {204, 404} if could_be_gone else {204})

    async def _read(self) -> bool:
        place = self._place()
        return await self.verify(place) if place else True

    async def _thumbnail(self) -> bool:
        if not (place := self._place()):
            return True
        status, _ = await self._ask("thumbnail", "GET", f"/media/{place[0]}/{place[1]}?width=160")
        return self._judge("thumbnail", status, {200, 404} if GONE in self.expected[place] else {200})

    async def verify(self, place: tuple[int, str]) -> bool:
        """Read what is there; return False when that was not possible now."""
        allowed = self.expected[place]
        status, body = await self._ask("read", "GET", f"/media/{place[0]}/{place[1]}")
        if status == 200 and hashlib.sha256(body).hexdigest() not in allowed:
            self.seen.wrong.append(f"{place} has other bytes")
        if status == 404 and GONE not in allowed:
            self.seen.wrong.append(f"{place} is lost")
        return self._judge("read", status, {200, 404})

    def _judge(self, deed: str, status: int | str, right: set[int]) -> bool:
        if isinstance(status, int) and status not in right and status not in REFUSED:
            self.seen.wrong.append(f"{deed} was answered with {status}")
        return status in right

    async def _ask(self, deed: str, method: str, path: str, **body):
        """Return the answer's status and its content; instead of a status, why there was none."""
        service = self._dice.choice(self._services)
        process, started = service.process, time.monotonic()
        status: int | str
        content = None
        try:
            async with self._session.request(method, service.url + path, **body) as answer:
                content = await (answer.json() if "json" in answer.content_type else answer.read())
                status = answer.status
        except TimeoutError:
            status = MUTE
            self.seen.wrong.append(f"{deed}: no answer in {self._bound} s")
        except (aiohttp.ClientError, ConnectionError) as error:
            status = type(error).__name__
            # An answer breaks off when the store does. No other connection does without a kill, once it was accepted.
            is_expected = isinstance(error, aiohttp.ClientConnectorError) or deed in {"read", "thumbnail"}
            if not is_expected and not await _was_killed(service, process):
                self.seen.wrong.append(f"{deed}: {error!r} from a service that runs")
        self.seen.answers[deed, status] += 1
        if isinstance(status, int):
            self.seen.seconds[deed].append(time.monotonic() - started)
        return status, content

    def _picture(self) -> tuple[bytes, str]:
        """A picture like no other."""
        (size,) = self._dice.choices(list(SIZES), list(SIZES.values()))
        self._serial += 1
        content = PICTURES[size] + f"{self._seed} {self._serial}".encode()
        return content, hashlib.sha256(content).hexdigest()

    def _place(self) -> tuple[int, str] | None:
        there = [place for place, allowed in self.expected.items() if allowed != {GONE}]
        return self._dice.choice(there) if there else None

    def _image(self) -> int | None:
        place = self._place()
        return place[0] if place else None

    def _may_be_gone(self, image_id: int) -> bool:
        return all(GONE in allowed for place, allowed in self.expected.items() if place[0] == image_id)


def _form(content: bytes, filename: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(content), filename=filename, content_type="image/bmp")
    return form


async def _was_killed(service: Service, process) -> bool:
    for _ in range(20):
        if service.process is None or service.process is not process:
            return True
        await asyncio.sleep(0.05)
    return False


class Crowd:
    """So many clients at once, until `end()`."""

    def __init__(self, services: list[Service], members: int, bound: float, seed: int = 0) -> None:
        self.seen = Seen()
        timeout = aiohttp.ClientTimeout(total=bound)
        # Each request on a connection of its own: one that a kill has cut is nobody else's.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        self.members = [Member(self._session, services, seed + each, bound, self.seen) for each in range(members)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Crowd":
        self._tasks = [asyncio.create_task(self._keep_acting(member)) for member in self.members]
        return self

    async def __aexit__(self, *_) -> None:
        await self.end()
        await self._session.close()

    async def end(self) -> None:
        """Have each finish what it is doing."""
        self._ended = True
        await asyncio.gather(*self._tasks)
        self._tasks = []

    _ended = False

    async def _keep_acting(self, member: Member) -> None:
        while not self._ended:
            await member.act()

    async def verify(self) -> int:
        """Read every place until it can be read; return how many have an attachment for sure."""
        for member in self.members:
            for place in list(member.expected):
                for _ in range(100):
                    if await member.verify(place):
                        break
                else:
                    self.seen.wrong.append(f"{place} cannot be read")
        return sum(GONE not in allowed for member in self.members for allowed in member.expected.values())

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until it is so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition() and not any(task.done() for task in self._tasks):
                    await asyncio.sleep(0.2)
