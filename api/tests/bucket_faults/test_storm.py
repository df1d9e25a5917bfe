"""Two services on one bucket, while they and the bucket's server are killed: nothing is lost, wrong or left over."""

import asyncio
import contextlib
import time

import psycopg2
import pytest

from crowd import Crowd
from kt_images.files.keys import object_key
from storm import Fleet, Storm

MEMBERS = 8
# What one answer may take: an upload waits for the store as long as the settings let it, and once more for its row.
BOUND = 60.0
# Of a service with its two processes that decode: files of 10 MB, eight at once.
MOST_MEGABYTES = 1200


@pytest.fixture
def fleet(new_database, folder, tmp_path):
    made = []

    def start(bucket):
        made.append(Fleet(new_database("storm"), tmp_path, bucket.environment()))
        return made[0]

    yield start
    for one in made:
        one.close()


def test_nothing_is_lost_wrong_or_left_over_while_all_of_ceph_and_all_workers_are_killed(fleet, ceph_bucket):
    asyncio.run(storm(fleet(ceph_bucket), ceph_bucket, uploads=5000, kills=10, seconds=1800, pause=12))


def test_nothing_is_lost_wrong_or_left_over_while_seaweedfs_and_all_workers_are_killed(fleet, seaweed_bucket):
    asyncio.run(storm(fleet(seaweed_bucket), seaweed_bucket, uploads=300, kills=2, seconds=120, pause=6))


async def storm(fleet, bucket, *, uploads, kills, seconds, pause):
    """Kill until so many uploads are acknowledged and each part was killed so often, then look at what is there."""
    began = time.monotonic()
    async with Crowd(fleet.services, MEMBERS, BOUND) as crowd:
        async with Storm(fleet, bucket.server, pause=pause) as weather:

            def is_enough():
                kinds = (*bucket.server.kills, "service")
                return crowd.seen.acknowledged >= uploads and all(weather.kills[kind] >= kills for kind in kinds)

            await crowd.until(is_enough, seconds)
        await crowd.end()
        took = time.monotonic() - began
        there = await crowd.verify()
    seen = crowd.seen
    print(f"\n{seen.acknowledged} acknowledged in {took:.0f} s, {there} there for sure; killed: {dict(weather.kills)}")
    print("answers:", dict(sorted(seen.answers.items(), key=str)))
    print("seconds of an answer, median, p99, most:", seen.slowest())
    health, memory = sorted(weather.health), weather.megabytes
    print(f"/healthz at p99 {health[len(health) * 99 // 100]:.3f} s, at most {health[-1]:.3f} s")
    print(f"memory of a service: at first {memory[0]:.0f} MB, at most {max(memory):.0f} MB")
    left, waiting = await _left_over(fleet, bucket)
    print(f"left over: {len(left)} objects, {len(bucket.unfinished())} uploads in parts")
    assert not seen.wrong, seen.wrong[:10]
    assert seen.acknowledged >= uploads
    assert (left, waiting, weather.ended) == (set(), 0, [])
    # What a kill leaves of a large file on its way is the server's to remove, by a rule of the bucket; it is nobody's.
    bucket.s3.abort(bucket.name)
    assert "Traceback" not in fleet.log()
    assert max(memory) < MOST_MEGABYTES
    checked = await asyncio.to_thread(fleet.manage, "check", "--deep", "--grace", "0")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    print(checked.stdout.strip())


async def _left_over(fleet, bucket):
    """The objects that no row names once the collector had time, and how many entries it still has to work off."""
    # As if ten minutes had passed: a collector that was killed leaves for so long what it had taken.
    fleet.services[0].sql("update orphans set taken_at = taken_at - interval '10 minutes'")
    for _ in range(120):
        (waiting,) = _column(fleet, "select count(*) from orphans")
        if not waiting:
            break
        await asyncio.sleep(0.5)
    fleet.kill_collector()
    named = set(_column(fleet, "select object_key from attachments"))
    found = await asyncio.to_thread(bucket.objects)
    assert named <= found
    return {key for key in found if object_key(key) not in named}, waiting


def _column(fleet, query):
    with contextlib.closing(psycopg2.connect(fleet.services[0].dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]
