"""The service as a process: how it starts, how it ends, and that nothing is lost in between."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import psycopg2
import pytest

from kt_images.database import embedded
from pictures import drawn


class Service:
    """A running `python3 -m kt_images`, and its address."""

    def __init__(self, process):
        self.process = process
        greeting = process.stdout.readline()
        self.url = re.search(r"http://\S+?(?=;)", greeting).group() if greeting else None

    def call(self, path, body=None):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body and json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def service(where, *arguments, **environment):
    variables = {**os.environ, "KT_IMAGES_PORT": "0", "KT_IMAGES_HOST": "127.0.0.1", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "kt_images", *arguments], cwd=where, env=variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield Service(process)
        finally:
            process.kill()


@pytest.fixture
def where(folder, request):
    """A folder that looks like a clone, so that the data stays in it."""
    made = folder / f"main-{abs(hash(request.node.name))}"
    (made / "api" / "src" / "kt_images").mkdir(parents=True)
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_on_nothing_stops_cleanly_and_finds_its_data_again(where, number):
    with service(where) as first:
        assert first.call("/readyz") == (200, {"status": "ok"})
        status, image = first.call("/images", {"filename": "a.jpg", "tags": ["x"]})
        assert status == 201
        assert first.end(number) == 0
    assert (where / "data" / "db").is_dir()
    with service(where) as second:
        assert second.call("/images/1") == (200, image)


def test_the_greeting_says_where_the_data_is_kept(where, dsn):
    with service(where) as embedded_one:
        greeting = embedded_one.process.stdout.readline()
        assert f"{where}/data/db" in greeting
        assert f"{where}/data/images" in greeting
    with service(where, "--postgres_dsn", dsn, "--uploads_dir", "elsewhere") as other:
        greeting = other.process.stdout.readline()
        assert f"{where}/elsewhere" in greeting
        assert "database" not in greeting


def test_a_kill_loses_nothing_that_was_acknowledged(where):
    with service(where) as first:
        for n in range(20):
            assert first.call("/images", {"filename": f"{n}.jpg"})[0] == 201
        first.end(signal.SIGKILL)
    with service(where) as second:
        assert second.call("/images")[1][-1] == {"totalImages": 20, "totalChunks": 1}


def test_a_request_in_flight_is_finished_before_the_end(where, server_dsn, dsn):
    with service(where, "--postgres_dsn", dsn) as running:
        blocker = psycopg2.connect(server_dsn)
        with blocker.cursor() as cursor:
            cursor.execute("lock table images")
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(running.call("/images", {"filename": "late.jpg"})))
        waiting.start()
        time.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        blocker.rollback()
        blocker.close()
        waiting.join()
        assert running.process.wait(10) == 0
    assert answers[0][0] == 201


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--port", "70000"], "--port"),
        (["--postgres_dsn", "nonsense"], "--postgres_dsn"),
        (["--chunk_size", "0"], "--chunk_size"),
        (["--uploads_dir", "/proc/nowhere"], "store"),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence(where, server_dsn, arguments, word):
    dsn = [] if "--postgres_dsn" in arguments else ["--postgres_dsn", server_dsn]
    with service(where, *arguments, *dsn) as failing:
        assert failing.process.wait(20) != 0
        error = failing.process.stderr.read()
    assert word in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_one_sentence(where, dsn):
    with service(where, "--postgres_dsn", dsn) as first:
        port = first.url.rsplit(":", 1)[1]
        with service(where, "--postgres_dsn", dsn, "--port", port) as second:
            assert second.process.wait(20) == 1
            error = second.process.stderr.read()
    assert error == f"kt-images cannot start: Port {port} is in use; choose another with --port or KT_IMAGES_PORT\n"


def test_a_database_without_the_schema_stops_the_start_and_names_the_command(where, server_dsn):
    admin = psycopg2.connect(server_dsn)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("drop database if exists bare with (force)")
        cursor.execute("create database bare")
    admin.close()
    with service(where, "--postgres_dsn", server_dsn.replace("dbname=postgres", "dbname=bare")) as failing:
        assert failing.process.wait(20) == 1
        error = failing.process.stderr.read()
    assert "python3 -m kt_images.manage.load_fixtures --upgrade" in error
    assert error.count("\n") == 1


def test_without_its_database_it_says_so_and_serves_as_soon_as_it_is_there(where, folder):
    data = folder / "late"
    with embedded.running(data) as dsn:
        subprocess.run(
            [sys.executable, "-m", "kt_images.manage.load_fixtures", "--upgrade"],
            env={**os.environ, "POSTGRES_DSN": dsn}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    with service(where, "--postgres_dsn", dsn) as running:
        assert running.call("/healthz") == (200, {"status": "ok"})
        assert running.call("/readyz") == (503, {"error": "Not reachable: database"})
        status, body = running.call("/images")
        assert status == 503
        assert "try again" in body["error"]
        with embedded.running(data):
            assert running.call("/readyz") == (200, {"status": "ok"})
            assert running.call("/images", {"filename": "a.jpg"})[0] == 201
            assert running.end() == 0


def test_a_file_comes_back_byte_for_byte_whole_and_in_part(where, dsn):
    """The process's event loop is uvloop, which has no sendfile()."""
    picture = drawn("BMP", (1000, 700))
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n' + picture + b"\r\n--b--\r\n"
    with service(where, "--postgres_dsn", dsn) as running:
        running.call("/images", {"filename": "a.bmp"})
        url, headers = f"{running.url}/images/1/attachment/a.bmp", {"Content-Type": "multipart/form-data; boundary=b"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as stored:
            assert stored.status == 200
        with urllib.request.urlopen(url) as whole:
            assert whole.read() == picture
        part = urllib.request.Request(f"{running.url}/media/1/a.bmp", headers={"Range": "bytes=1000-1999999"})
        with urllib.request.urlopen(part) as some:
            assert some.read() == picture[1000:2000000]


def test_a_database_that_comes_late_and_without_the_schema_ends_the_service_with_1(where, folder):
    data = folder / "bare"
    with embedded.running(data) as dsn:
        pass
    with service(where, "--postgres_dsn", dsn) as running, embedded.running(data):
        assert running.process.wait(20) == 1
        assert "load_fixtures --upgrade" in running.process.stderr.read()


def test_two_services_on_one_folder_are_on_one_database_and_outlive_each_other(where):
    with service(where) as first, service(where) as second:
        assert first.call("/images", {"filename": "a.jpg"})[0] == 201
        assert second.call("/images/1")[0] == 200
        assert first.end() == 0
        deadline = time.monotonic() + 20
        while second.call("/images/1")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert second.end() == 0
