"""What else a bucket's server may do to a service, each once on Ceph."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg2
import pytest

import buckets
from ceph import USER
from pictures import drawn
from services import wait_until

# What the client of a bucket waits for at most, with its retries: for a file to be stored and for one to be read.
STORED, READ = 90, 45
SMALL = drawn("BMP", (40, 40))
HEAD = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.fixture
def line(ceph_bucket):
    """A proxy between a service and the bucket, which does harm when told to."""
    with buckets.proxy(f"http://127.0.0.1:{ceph_bucket.server.port}") as made:
        yield made


@pytest.fixture
def service(process, ceph_bucket, line):
    return process(ceph_bucket.environment(_port(line)), max_upload_size=2**27)


def _port(line):
    return int(line.endpoint.rpartition(":")[2])


def ask(service, path, body=None, method=None, timeout=STORED):
    """Return the status and the body; the status is None if the connection broke."""
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    request = urllib.request.Request(service.url + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (ConnectionError, http.client.HTTPException, urllib.error.URLError):
        return None, b""


def upload(service, name, content=SMALL, image_id=1):
    return ask(service, f"/images/{image_id}/attachment/{name}", HEAD + content + b"\r\n--b--\r\n")[0]


def read(service, name, image_id=1, timeout=READ):
    return ask(service, f"/media/{image_id}/{name}", timeout=timeout)


def column(service, query):
    with contextlib.closing(psycopg2.connect(service.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]


def assert_accounted(service, bucket):
    """Each object is a row's, or known to the collector; and each row has its object."""
    rows, entered = (set(column(service, f"select object_key from {table}")) for table in ("attachments", "orphans"))
    found = {key for key in bucket.objects() if ".bmp." not in key}
    assert rows <= found
    assert found <= rows | entered


def test_a_mute_server_is_given_up_in_time_and_the_service_answers_all_else(service, line):
    service.create("x")
    assert upload(service, "before") == 200
    line.is_mute = True
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(upload(service, "meanwhile"))) for _ in range(4)]
    threads += [threading.Thread(target=lambda: statuses.append(read(service, "before")[0])) for _ in range(4)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert ask(service, "/healthz", timeout=3)[0] == 200
        assert ask(service, "/images/1", timeout=3)[0] == 200
        time.sleep(0.5)
    print(f"given up after {time.monotonic() - started:.0f} s", end=" ")
    assert statuses == [503] * 8
    status, body = ask(service, "/readyz", timeout=5)
    assert (status, json.loads(body)["error"]) == (503, "Not reachable: store")
    line.is_mute = False
    wait_until(lambda: upload(service, "after") == 200, 60)
    assert read(service, "before") == (200, SMALL)


def test_a_full_quota_is_507_and_nothing_else_suffers(service, ceph_bucket):
    service.create("x")
    assert upload(service, "before") == 200
    quota, server = ("--uid", USER, "--quota-scope", "bucket"), ceph_bucket.server
    server.admin("quota", "set", *quota, "--max-objects", "1")
    server.admin("quota", "enable", *quota)
    try:
        wait_until(lambda: upload(service, "full") != 200, 30)
        assert upload(service, "full") == 507
        assert read(service, "before") == (200, SMALL)
        assert ask(service, "/images/1/attachment/before", method="DELETE")[0] == 204
        assert_accounted(service, ceph_bucket)
    finally:
        server.admin("quota", "disable", *quota)
    wait_until(lambda: upload(service, "after") == 200, 30)


def test_an_upload_whose_answer_is_lost_is_stored_once(service, line, ceph_bucket):
    service.create("x")
    for number in range(5):
        line.lose = b"PUT "
        status = upload(service, f"{number}")
        assert line.lose == b""
        assert status in {200, 503}
        assert read(service, f"{number}")[0] == (200 if status == 200 else 404)
    assert_accounted(service, ceph_bucket)


def test_a_store_that_is_claimed_with_its_answer_lost_is_ones_own(process, line, ceph_bucket):
    line.lose = b"PUT "
    service = process(ceph_bucket.environment(_port(line)))
    assert line.lose == b""
    service.create("x")
    assert upload(service, "first") == 200
    (known,) = column(service, "select store_id::text from store")
    assert json.loads(ceph_bucket.s3.get(ceph_bucket.name, "kt/store.json"))["store_id"] == known


def test_clients_that_leave_while_their_files_are_sent_to_the_bucket_leave_nothing_unknown(service, line, ceph_bucket):
    service.create("x")
    line.delay = 0.3
    body = HEAD + SMALL + b"\r\n--b--\r\n"
    for number in range(20):
        head = (
            f"POST /images/1/attachment/{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(head.encode() + body)
            time.sleep(0.05 * (number % 10))
    line.delay = 0
    wait_until(lambda: "kt_images_uploads_running 0.0" in ask(service, "/metrics")[1].decode(), 60)
    assert_accounted(service, ceph_bucket)


def test_a_service_asked_to_end_in_the_middle_of_uploads_finishes_them_and_leaves_nothing_unknown(
    service, line, ceph_bucket
):
    service.create("x")
    line.delay = 0.5
    statuses = {}
    threads = [
        threading.Thread(target=lambda number=number: statuses.update({number: upload(service, f"{number}")}))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    process = service.process
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert process.wait(30) == 0
    line.delay = 0
    service.start()
    print(f"{list(statuses.values()).count(200)} of 8 were stored", end=" ")
    for number, status in statuses.items():
        if status == 200:
            assert read(service, f"{number}") == (200, SMALL)
    assert 200 in statuses.values()
    assert_accounted(service, ceph_bucket)


def test_a_bucket_deleted_under_it_is_out_of_reach_and_nothing_is_said_to_be_missing(process, ceph_bucket):
    service = process(ceph_bucket.environment(), collect_interval=1, collect_grace=60)
    service.create("x")
    for name in ("kept", "deleted"):
        assert upload(service, name) == 200
    assert ask(service, "/images/1/attachment/deleted", method="DELETE")[0] == 204
    service.sql("update orphans set since = since - interval '1 hour'")
    known = column(service, "select count(*) from orphans")
    # Before the collector gets there; it begins with a service's first half minute.
    ceph_bucket.s3.remove_bucket(ceph_bucket.name)
    for again in range(2):
        assert upload(service, "new") == 503
        assert read(service, "kept")[0] == 503
        wait_until(lambda: ask(service, "/readyz")[0] == 503, 10)
        assert json.loads(ask(service, "/readyz")[1])["error"] == "Not reachable: store"
        checked = _check(service)
        assert checked.returncode != 0
        assert "missing" not in checked.stdout + checked.stderr
        if not again:  # and a bucket of the same name, but empty, is not this store either
            ceph_bucket.s3.make_bucket(ceph_bucket.name)
    time.sleep(3)
    assert column(service, "select count(*) from orphans")[0] >= known[0]


def _check(service):
    environment = os.environ | service.environment | {"POSTGRES_DSN": service.dsn}
    command = [sys.executable, "-m", "kt_images.manage.check", "--grace", "0"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(FAKETIME is None, reason="there is no libfaketime here")
def test_clocks_apart_are_no_matter_within_minutes_and_a_refusal_that_is_explained_beyond(
    process, ceph_bucket, tmp_path
):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    service = process(ceph_bucket.environment() | faked)
    service.create("x")
    for offset in ("-600", "+600"):
        clock.write_text(offset)
        assert upload(service, offset[1:]) == 200
        assert read(service, offset[1:]) == (200, SMALL)
    for offset in ("-3600", "+3600"):
        clock.write_text(offset)
        assert upload(service, "skewed") == 503
        assert read(service, "600")[0] == 503
        clock.write_text("+0")
        wait_until(lambda: upload(service, "right") == 200, 30)
    assert "clock" in (service.folder / "service.log").read_text()
    assert_accounted(service, ceph_bucket)


def test_the_gateway_killed_in_the_middle_of_a_large_file(service, line, ceph_bucket):
    service.create("x")
    stored = []
    for number in range(4):
        content = drawn("BMP", (4000, 4000)) + f"{number}".encode()
        line.seen.clear()
        statuses = []
        thread = threading.Thread(
            target=lambda name=f"{number}", content=content, to=statuses: to.append(upload(service, name, content))
        )
        thread.start()
        wait_until(lambda wanted=number + 1: sum(b"partNumber" in one for one in line.seen) >= wanted, 60)
        ceph_bucket.server.kill("gateway")
        time.sleep(1 + 10 * (number % 2))  # a while that a retry can bridge, or not
        ceph_bucket.server.start("gateway")
        thread.join()
        assert statuses[0] in {200, 503}
        status, body = read(service, f"{number}")
        assert status == (200 if statuses[0] == 200 else 404)
        if status == 200:
            assert hashlib.sha256(body).digest() == hashlib.sha256(content).digest()
        stored.append(statuses[0])
    left = ceph_bucket.unfinished()
    print(f"{stored}; {len(left)} uploads in parts are left over", end=" ")
    assert_accounted(service, ceph_bucket)
    # What is left over is never half an object, and the rule that operating.md asks for removes it.
    assert not {key for key, _ in left} & {f"kt/objects/{key}" for key in ceph_bucket.objects()}
