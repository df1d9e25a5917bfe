"""A service that is killed, anywhere: what was acknowledged is there and right, anything else absent or whole."""

import itertools
import random
import re
import threading
import time

import pytest

from victim import Victim, a_picture

# What the write path consists of. Waiting, memory and clocks are left out: nothing changes there.
# Which of them there are is the processor's matter; strace is asked for those that it knows.
NAMES = """accept4 recvfrom read sendto sendmsg write openat newfstatat fstat lseek mkdir mkdirat fsync fdatasync
    rename renameat renameat2 unlink unlinkat close"""
CALLS = ",".join(f"?{name}" for name in NAMES.split())
# The choice of the short form: before each of these the world outside the process differs.
DECISIVE = {"files": r"openat|write|mkdir(at)?|fsync|rename.*", "loop": r"sendto|unlink(at)?"}


def groups(victim):
    return {"loop": victim.loop_thread(), "files": victim.file_threads()}


@pytest.fixture
def points(strace, dsn, uploads, tmp_path, thorough):
    """Every call that one upload makes: whose, which, and the how manieth of its kind."""
    found = []
    with Victim(dsn, uploads) as victim:
        images = [victim.new_image() for _ in range(3)]
        assert victim.upload(images[0], "first", a_picture()) == 200
        for image, (group, threads) in zip(images[1:], groups(victim).items(), strict=True):
            log = tmp_path / f"{group}.log"
            with victim.traced(threads, "-o", str(log), "-e", f"trace={CALLS}"):
                assert victim.upload(image, "second", a_picture()) == 200
            calls = re.findall(r"^(?:\d+ +)?(\w+)\(", log.read_text(), re.MULTILINE)
            found += [(group, call, when) for call in dict.fromkeys(calls) for when in range(1, calls.count(call) + 1)]
    return [point for point in found if thorough or re.fullmatch(DECISIVE[point[0]], point[1])]


def test_killed_at_each_system_call_of_an_upload(points, dsn, uploads, cared_for, thorough):
    expected, last = {}, []  # (image, name) -> the contents that may be there
    missed, acknowledged = [], 0
    for (group, call, when), is_new in itertools.product(points, [True, False] if thorough else [True]):
        with Victim(dsn, uploads) as victim:
            for place in last:
                assert victim.download(*place) in expected[place]
            image = victim.new_image()
            old, new = None, a_picture()
            if is_new:
                assert victim.upload(victim.new_image(), "another", a_picture()) == 200
            else:
                old = a_picture()
                assert victim.upload(image, "name", old) == 200
            inject = f"inject={call}:signal=KILL:when={when}"
            with victim.traced(groups(victim)[group], "-o", "/dev/null", "-e", f"trace={call}", "-e", inject):
                status = victim.upload(image, "name", new)
            assert status in {200, None}
            acknowledged += status == 200
            last = [(image, "name")]
            expected[image, "name"] = {new} if status == 200 else {old, new}
            missed += [(group, call, when)] * (victim.process.poll() is None and status == 200)
    with Victim(dsn, uploads) as victim:
        for place, contents in expected.items():
            assert victim.download(*place) in contents
    print(
        f"killed at {len(expected) - len(missed)} of {len(expected)} calls, {acknowledged} acknowledged; {cared_for()}",
        end="",
    )
    assert len(missed) <= len(expected) / 5, missed  # which calls are made depends a little on time


def test_killed_at_random_under_load(dsn, uploads, cared_for, thorough):
    rounds, uploaders = (200, 6) if thorough else (6, 4)
    dice = random.Random(0)
    expected, last = {}, {}  # (image, name) -> the contents that may be there
    total = 0

    def load(victim, image, mine):
        """Upload until the service has gone; note what may be there, which is sure once it was acknowledged."""
        nonlocal total
        for number in itertools.count():
            place, content = (image, f"{number % 3}"), a_picture(40 + 60 * (number % 4))
            mine[place] = {content, *mine.get(place, {None})}
            status = victim.upload(*place, content)
            if status != 200:
                assert status is None
                return
            mine[place] = {content}
            total += 1

    for _ in range(rounds):
        with Victim(dsn, uploads, collect_interval=0.2, collect_grace=60) as victim:
            for place, contents in last.items():
                assert victim.download(*place) in contents, place
            images = [victim.new_image() for _ in range(uploaders)]
            told = [{} for _ in images]
            threads = [threading.Thread(target=load, args=(victim, *each)) for each in zip(images, told, strict=True)]
            for thread in threads:
                thread.start()
            time.sleep(dice.uniform(0.05, 0.8))
            victim.kill()
            for thread in threads:
                thread.join()
            last = {place: contents for mine in told for place, contents in mine.items()}
            expected |= last
    with Victim(dsn, uploads) as victim:
        for place, contents in expected.items():
            assert victim.download(*place) in contents, place
    print(f"{rounds} kills, {total} acknowledged; {cared_for()}", end="")
    assert total > rounds
