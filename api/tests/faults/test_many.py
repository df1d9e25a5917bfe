"""Changes of many images and imports that are broken off: by a service that is killed, by a PostgreSQL that crashes."""

import asyncio
import contextlib
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import pytest

from kt_images.database import schema, tags
from kt_images.database.connection import Connection, Limits
from services import wait_until
from sql import ask
from victim import Victim

IMAGES, LINES = 6000, 40_000
OLD, NEW = ["a", "old"], ["a", "new"]


def line(number):
    return b'{"filename":"%d","tags":["a","%d"]}\n' % (number, number % 1000)


def a_change_of_tags(dsn):
    """Return how many images are changed; each is so wholly or not at all, and the first ones are."""
    found = [given for (given,) in ask(dsn, "select tags from images order by image_id")]
    changed = found.count(NEW)
    assert found == [NEW] * changed + [OLD] * (IMAGES - changed)
    return changed


def a_deletion(dsn):
    """Return how many images are deleted: they are the first ones."""
    left = [int(name) for (name,) in ask(dsn, "select filename from images order by image_id")]
    assert left == list(range(IMAGES - len(left), IMAGES))
    return IMAGES - len(left)


@dataclass(frozen=True)
class Call:
    """A call, and what it has done by SQL."""

    method: str
    path: str
    body: bytes
    done: Callable[[str], int]


PATCH = b'{"add_tags": ["new"], "remove_tags": ["old"]}'
CALLS = {
    "patch": Call("PATCH", "/images?tag=old", PATCH, a_change_of_tags),
    "delete": Call("DELETE", "/images?tag=old", b"{}", a_deletion),
    "rename": Call("POST", "/tags/rename", b'{"tag": "old", "to": "new", "merge": true}', a_change_of_tags),
}


@dataclass
class Answer:
    """The lines of an answer, whether it has its end, and its status; nothing of it is lost when it breaks off."""

    told: list[dict[str, int]]
    is_whole: bool
    status: int

    @property
    def is_proven(self):
        return any("changed" in one or "totalLines" in one for one in self.told)

    def last(self, name):
        return max((one[name] for one in self.told if name in one), default=0)


def call(victim, method, path, body, at_progress=None):
    """Send the call while its answer is read; `at_progress` is called with the number of each line of progress."""
    address = urlsplit(victim.url)
    kind = "x-ndjson" if path == "/images" and method == "POST" else "json"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\nConnection: close\r\n"
    head += f"Content-Type: application/{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    text, seen = b"", 0
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        sending = threading.Thread(target=send, args=(connection, head.encode() + body))
        sending.start()
        while piece := received(connection):
            text += piece
            while at_progress and seen < len(re.findall(rb'^\{"(?:doneImages|lines)"', text, re.MULTILINE)):
                seen += 1
                at_progress(seen)
        connection.close()
        sending.join()
    told = [json.loads(one) for one in re.findall(rb"^\{.*\}(?=\r?\n)", text, re.MULTILINE)]
    return Answer(told, text.endswith(b"0\r\n\r\n"), int(text.split()[1]))


def received(connection):
    try:
        return connection.recv(2**16)
    except ConnectionError:
        return b""


def send(connection, data):
    with contextlib.suppress(OSError):  # the other side has gone
        connection.sendall(data)


def filled(dsn):
    ask(dsn, "truncate images restart identity cascade")
    given = "{" + ",".join(OLD) + "}"
    ask(dsn, f"insert into images (filename, tags) select n, '{given}' from generate_series(0, {IMAGES - 1}) n")


def settled(dsn):
    """Wait until the sessions of a service that was killed are gone: a COMMIT may have been under way."""
    query = """
        select count(*) from pg_stat_activity where application_name = 'kt-images' and datname = current_database()
    """
    wait_until(lambda: ask(dsn, query) == [(0,)])


def miscounted(dsn):
    """What `manage.check` would find."""

    async def look():
        connection = await Connection.open(dsn, Limits())
        try:
            return await tags.wrong(connection)
        finally:
            connection.close()

    return asyncio.run(look())


class Fault:
    """Something that happens at some of the first lines of progress, each time up to `moment` seconds later."""

    def __init__(self, happen, dice, most=1, moment=0.0):
        self._happen, self._dice, self._moment = happen, dice, moment
        self._at = set(dice.sample(range(1, 5), most))

    def __call__(self, progress):
        if progress in self._at:
            time.sleep(self._dice.uniform(0, self._moment))
            self._happen()


@pytest.fixture
def crashing(database):
    """A PostgreSQL that may crash, with our schema."""

    async def upgrade():
        connection = await Connection.open(database.dsn, Limits())
        await schema.upgrade(connection)
        connection.close()

    asyncio.run(upgrade())
    return database


@pytest.fixture
def rounds(thorough):
    return 12 if thorough else 1


@pytest.mark.parametrize("name", CALLS)
def test_a_change_whose_service_is_killed_is_finished_by_the_same_call(dsn, uploads, cared_for, rounds, name):
    wanted, dice, broken = CALLS[name], random.Random(0), 0
    for _ in range(rounds):
        filled(dsn)
        with Victim(dsn, uploads) as victim:
            kill = Fault(victim.kill, dice, moment=0.1 * (rounds > 1))
            answer = call(victim, wanted.method, wanted.path, wanted.body, kill)
        settled(dsn)
        done = wanted.done(dsn)
        assert answer.is_whole == answer.is_proven
        assert answer.last("doneImages") <= done
        assert done % 1000 == 0, "a part is done completely or not at all"
        assert miscounted(dsn) == {}
        broken += not answer.is_whole
        with Victim(dsn, uploads) as victim:
            again = call(victim, wanted.method, wanted.path, wanted.body)
            assert (again.status, again.is_whole) == (
                (404, False) if name == "rename" and done == IMAGES else (200, True)
            )
            assert again.last("changed") == IMAGES - done
        assert wanted.done(dsn) == IMAGES
    assert broken
    print(f"{broken} of {rounds} broken off; {cared_for()}", end="")


def test_an_import_whose_service_is_killed_has_stored_what_it_told_in_order(dsn, uploads, cared_for, rounds):
    dice, broken, more = random.Random(0), 0, 0
    lines = [line(number) for number in range(LINES)]
    for _ in range(rounds):
        ask(dsn, "truncate images restart identity cascade")
        with Victim(dsn, uploads) as victim:
            kill = Fault(victim.kill, dice, moment=0.1 * (rounds > 1))
            answer = call(victim, "POST", "/images", b"".join(lines), kill)
        settled(dsn)
        told = answer.last("lines")
        assert told == answer.last("stored")
        assert answer.is_whole == answer.is_proven
        names = imported(dsn)
        assert names == list(range(len(names)))
        assert told <= len(names) <= told + 5000
        assert miscounted(dsn) == {}
        broken += not answer.is_whole
        more += len(names) - told
        with Victim(dsn, uploads) as victim:
            rest = call(victim, "POST", "/images", b"".join(lines[told:]))
        assert (rest.is_whole, rest.last("totalImages")) == (True, LINES - told)
        assert imported(dsn) == [*names, *range(told, LINES)]
    assert broken
    print(f"{broken} of {rounds} broken off, {more} lines were stored and not told; {cared_for()}", end="")


def imported(dsn):
    return [int(name) for (name,) in ask(dsn, "select filename from images order by image_id")]


# Only where nobody can tell what became of a part.
IN_DOUBT = {"kt_images.errors.CommitInDoubtError"}


def complaints(victim):
    """The errors of which the service logged a stack."""
    return set(re.findall(r"^([\w.]+): ", victim.log(), re.MULTILINE))


@pytest.mark.parametrize("name", CALLS)
def test_a_change_goes_on_after_a_crash_of_postgresql(crashing, uploads, rounds, name):
    wanted, dice, broken = CALLS[name], random.Random(0), 0
    with Victim(crashing.dsn, uploads) as victim:
        for _ in range(rounds):
            filled(crashing.dsn)
            crashes = Fault(crashing.restart, dice, 2 if rounds > 1 else 1, 0.05)
            answer = call(victim, wanted.method, wanted.path, wanted.body, crashes)
            done = wanted.done(crashing.dsn)
            assert answer.is_whole == answer.is_proven, victim.log()
            assert answer.last("doneImages") <= done
            assert not answer.is_whole or answer.last("changed") == done == IMAGES
            assert miscounted(crashing.dsn) == {}
            broken += not answer.is_whole
            if done < IMAGES:
                assert call(victim, wanted.method, wanted.path, wanted.body).last("changed") == IMAGES - done
            assert wanted.done(crashing.dsn) == IMAGES
        assert complaints(victim) <= IN_DOUBT
    print(f"{broken} of {rounds} broken off", end="")


def test_an_import_goes_on_after_a_crash_of_postgresql(crashing, uploads, rounds):
    dice, broken = random.Random(0), 0
    lines = b"".join(line(number) for number in range(LINES))
    with Victim(crashing.dsn, uploads) as victim:
        for _ in range(rounds):
            ask(crashing.dsn, "truncate images restart identity cascade")
            crashes = Fault(crashing.restart, dice, 2 if rounds > 1 else 1, 0.05)
            answer = call(victim, "POST", "/images", lines, crashes)
            names = imported(crashing.dsn)
            assert names == list(range(len(names)))
            assert answer.last("stored") <= len(names) <= answer.last("stored") + 5000
            assert answer.is_whole == answer.is_proven, victim.log()
            assert not answer.is_whole or len(names) == answer.last("totalImages") == LINES
            assert miscounted(crashing.dsn) == {}
            broken += not answer.is_whole
        assert complaints(victim) <= IN_DOUBT
    print(f"{broken} of {rounds} broken off", end="")


def test_several_at_once_over_the_same_images_neither_wait_for_ever_nor_spoil_a_count(dsn, uploads, rounds):
    """Changes, a rename, a deletion and an import beside single writes."""
    singles = ["PATCH", "DELETE", "POST"]

    def insist(one):
        """Call until there is a place for it: there are four."""
        while (answer := call(victim, *one)).status == 503:
            time.sleep(0.05)
        return answer

    def write(seed):
        dice = random.Random(seed)
        for _ in range(100):
            method = dice.choice(singles)
            path = "/images" if method == "POST" else f"/images/{dice.randint(1, IMAGES)}"
            body = {
                "PATCH": b'{"add_tags": ["c"], "remove_tags": ["old"]}',
                "POST": b'{"filename": "x", "tags": ["a"]}',
            }
            assert victim.call(path, body.get(method), method=method)[0] in {200, 201, 204, 404}

    with Victim(dsn, uploads) as victim, ThreadPoolExecutor(16) as pool:
        for number in range(rounds):
            filled(dsn)
            ask(dsn, "update images set tags = tags || '{half}' where image_id % 2 = 0")
            changes = [
                ("PATCH", "/images?tag=a", b'{"add_tags": ["x"]}'),
                ("PATCH", "/images?tag=a&tag=half", b'{"add_tags": ["y"], "remove_tags": ["half"]}'),
                ("PATCH", "/images?all=true", b'{"add_tags": ["z"]}'),
                ("POST", "/tags/rename", b'{"tag": "half", "to": "a", "merge": true}'),
                ("DELETE", "/images?tag=half&before=2000", b"{}"),
                ("POST", "/images", b"".join(line(one) for one in range(10_000))),
            ]
            writing = [pool.submit(write, 100 * number + one) for one in range(4)]
            for answer in pool.map(insist, changes):
                # The tag to be renamed may be gone already.
                assert answer.is_whole or answer.status == 404
            for one in writing:
                one.result()
            assert miscounted(dsn) == {}
            first = ask(dsn, f"select tags from images where image_id <= {IMAGES}")
            assert all("z" in given and given.count("a") == 1 for (given,) in first)
        assert "Traceback" not in victim.log()


@contextlib.contextmanager
def watched(victim):
    """Give a list with the most memory that the service has had so far, beside what it began with, in bytes."""
    process = psutil.Process(victim.process.pid)
    before, most, over = process.memory_info().rss, [0], threading.Event()

    def watch():
        while not over.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss - before)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        over.set()
        watching.join()


@pytest.mark.parametrize("kind", ["bad lines", "good lines", "a long line"])
def test_an_import_takes_no_more_memory_the_longer_it_is(dsn, uploads, thorough, kind):
    many = 1_000_000 if thorough else 100_000
    body, images, errors = {
        "bad lines": (b'{"filename": "x", "tagz": 1}\n' * many, 0, many),
        "good lines": (b"".join(map(line, range(many))), many, 0),
        "a long line": (line(1) + b'{"filename": "' + b"x" * 100 * 2**20 + b'"}\n' + line(2), 2, 1),
    }[kind]
    with Victim(dsn, uploads) as victim:
        assert call(victim, "POST", "/images", b"{\n" * 2000 + line(1) * 10_000).last("totalImages") == 10_000
        with watched(victim) as most:
            answer = call(victim, "POST", "/images", body)
        assert (answer.last("totalImages"), answer.last("totalErrors")) == (images, errors)
        assert sum("line" in one for one in answer.told) == min(errors, 1000)
        print(f"{most[0] / 2**20:.1f} MiB more", end="")
        assert most[0] < 20 * 2**20
