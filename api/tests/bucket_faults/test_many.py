"""A bucket with 100,000 objects: the check, the collector and a listing take their time, but no more memory."""

import contextlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import obstore
import psycopg2
from obstore.store import S3Store

from kt_images.files.keys import new_key
from s3 import REGION
from storm import COLLECTOR, Fleet

OBJECTS, ORPHANS = 100_000, 10_000
CONTENT = b"x" * 64
AT_ONCE = 32

IMAGES = "insert into images (image_id, filename) overriding system value select i, 'x' from generate_series(1, %s) i"
ATTACHMENTS = """
    insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height)
    select i, 'x', key, 'image/bmp', %s, encode(sha256(convert_to(key, 'utf8')), 'hex'), 1, 1
    from unnest(%s::bigint[], %s::text[]) as made (i, key)
"""
ENTRIES = "insert into orphans (object_key, since) select unnest(%s::text[]), now() - interval '1 day'"

# Runs a program and says how many megabytes it had resident at most.
WATCHED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(f"peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB")
sys.exit(done.returncode)
"""
ONCE = COLLECTOR.replace("keep_collecting(pool, store, settings.thumbnail_widths, 0.5, ", "collect(pool, store, (), ")
NO_COLLECTOR = {"KT_IMAGES_COLLECT_INTERVAL": "0"}  # the service's own would be faster than the one that is measured
MOST_MORE_MEGABYTES = 60


def test_a_bucket_of_many_objects_is_checked_and_collected_in_memory_that_stays_flat(
    ceph_bucket, new_database, tmp_path
):
    fleet = Fleet(new_database("many"), tmp_path, ceph_bucket.environment() | NO_COLLECTOR, services=1)
    try:
        small = _measured(fleet, "an empty bucket checked", *_check())
        seconds = _fill(fleet, ceph_bucket, OBJECTS, ORPHANS)
        print(f"\n{OBJECTS} objects stored in {seconds:.0f} s")
        large = _measured(fleet, f"{OBJECTS} objects checked", *_check())
        assert large < small + MOST_MORE_MEGABYTES
        started = time.monotonic()
        status, body = ceph_bucket.s3.call("GET", f"/{ceph_bucket.name}", **{"list-type": "2"})
        assert (status, body.count(b"<Key>")) == (200, 1000)
        print(f"a page of 1000 of the bare listing: {time.monotonic() - started:.2f} s")
        code = ONCE.replace("        while True:", "        for _ in range(1):")
        _measured(fleet, f"{ORPHANS} orphans collected", "-c", code)
        assert len(ceph_bucket.objects()) == OBJECTS - ORPHANS
        _measured(fleet, "checked again", *_check())
    finally:
        fleet.close()


def _check():
    return "-m", "kt_images.manage.check", "--grace", "0", "--ndjson"


def _measured(fleet, what, *arguments):
    """Run Python so; return how many megabytes it had at most."""
    started = time.monotonic()
    command = [sys.executable, "-c", WATCHED, sys.executable, *arguments]
    done = subprocess.run(command, env=fleet.environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    peak = int(re.search(r"peak (\d+) MB", done.stdout)[1])
    print(f"\n{what}: {time.monotonic() - started:.0f} s, {peak} MB at most; {done.stdout.splitlines()[0]}", end="")
    return peak


def _fill(fleet, bucket, objects, orphans):
    """Write the rows, then the objects; return the seconds that those took."""
    keys = {image_id: new_key(image_id, "bmp") for image_id in range(1, objects + 1)}
    named = dict(list(keys.items())[orphans:])
    with contextlib.closing(psycopg2.connect(fleet.services[0].dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(IMAGES, (objects,))
            cursor.execute(ATTACHMENTS, (len(CONTENT), list(named), list(named.values())))
            cursor.execute(ENTRIES, (list(keys.values())[:orphans],))
            cursor.execute("vacuum analyze")
    config = {
        "endpoint": f"http://127.0.0.1:{bucket.server.port}",
        "region": REGION,
        "access_key_id": bucket.s3.access_key,
        "secret_access_key": bucket.s3.secret,
    }
    options = {"allow_http": True, "timeout": timedelta(seconds=60)}
    store = S3Store(bucket.name, config=config, client_options=options)
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(lambda key: obstore.put(store, f"{bucket.prefix}/objects/{key}", CONTENT), keys.values()):
            pass
    return time.monotonic() - started
