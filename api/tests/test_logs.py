"""What the log says of each request, of what goes and comes back, and what nobody can make it say."""

import asyncio
import contextlib
import gzip
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psycopg2
import pytest

from kt_images import logs, presence
from kt_images.database import embedded
from kt_images.errors import StoreMovedError
from kt_images.presence import Presence
from pictures import drawn
from sql import ask

HEAD = b"Host: localhost\r\nConnection: close\r\n"
FORGED = "2026-01-01 00:00:00,000 ERROR kt_images: all is lost"
BAD_GZIP = gzip.compress(b'{"filename": "a"}')[:-8] + b"xxxxxxxx"

LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ [\w.]+( \[[\w.-]{1,64}\])?: \S.*|    \| .*")
ACCESS = re.compile(
    r".* INFO kt_images\.access \[(?P<id>[\w.-]+)\]: (?P<method>\S+) (?P<path>\S+) (?P<status>\d{3}) "
    r"(?P<outcome>complete|left|broken) (?P<bytes>\d+) (?P<seconds>[\d.]+) (?P<key>\S+) (?P<client>\S+)"
)

HOSTILE = [
    b"GET /images/1\n" + FORGED.encode() + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /images/%0a" + FORGED.replace(" ", "%20").encode() + b"%1b[2J%00 HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /images/\xff\xfe\x1b[31m HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /images?tag=hunter2&secret=hunter2 HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /healthz HTTP/1.1\r\n" + HEAD + b"X-Request-ID: a\t" + FORGED.encode() + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n" + HEAD + b"X-Request-ID: \xe2\x80\xae\x1b[31mx\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n" + HEAD + b"X-Request-ID: " + b"a" * 65 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: \x1b[31m\x00\r\nConnection: close\r\n\r\n",
    b"GET http://x:99999/ HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n" + FORGED.encode() + b"\r\n\r\n",
    b"G\x1b[31mET / HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"HUNTER2 /images HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"A" * 8000 + b" /images HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"POST /images HTTP/1.1\r\n" + HEAD + b"Expect: \x1b[31m\r\n\r\n",
    *(
        b"POST " + path + b" HTTP/1.1\r\n" + HEAD + b"Content-Encoding: gzip\r\nContent-Type: " + kind
        + f"\r\nContent-Length: {len(BAD_GZIP)}\r\n\r\n".encode() + BAD_GZIP
        for path in (b"/images", b"/images/upload", b"/tags/rename", b"/healthz")
        for kind in (b"application/json", b"application/x-ndjson", b"multipart/form-data; boundary=b")
    ),
]  # fmt: skip


class Running:
    """A service with its log in a file."""

    def __init__(self, dsn, folder, access_log):
        self._log = folder / "log"
        environment = {
            **os.environ, "POSTGRES_DSN": dsn, "KT_IMAGES_UPLOADS_DIR": str(folder / "images"), "KT_IMAGES_PORT": "0",
            "KT_IMAGES_HOST": "127.0.0.1", "KT_IMAGES_ACCESS_LOG": access_log, "KT_IMAGES_CONNECT_TIMEOUT": "1",
            "KT_IMAGES_COLLECT_INTERVAL": "0",
        }  # fmt: skip
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kt_images"], env=environment, stdout=log, stderr=log
            )
        self.port = int(self.wait_for(r"serves on http://127\.0\.0\.1:(\d+)")[1])

    def read(self):
        return self._log.read_text()

    def lines(self):
        return self.read().splitlines()

    def wait_for(self, pattern):
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, self.read())):
            assert time.monotonic() < deadline, self.read()
            time.sleep(0.05)
        return found

    def send(self, request):
        """Send bytes; return what is answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while received := connection.recv(65536):
                    answer += received
        return answer

    def get(self, path):
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(self.url(path), timeout=20) as answer:
            return answer.read()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def end(self):
        self.process.terminate()
        assert self.process.wait(30) == 0


@pytest.fixture
def run(tmp_path, dsn):
    started = []

    def start(access_log, dsn=dsn):
        started.append(Running(dsn, tmp_path, access_log))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def request_id(answer):
    return re.search(rb"\r\nX-Request-ID: ([A-Za-z0-9._-]{1,64})\r\n", answer)[1].decode()


def test_hostile_bytes_make_one_line_each_that_nobody_takes_for_another(run):
    service = run("text")
    ids = [request_id(service.send(request)) for request in HOSTILE]
    service.end()
    lines = service.lines()[3:]  # after the greeting
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    accessed = [found for line in lines if (found := ACCESS.fullmatch(line))]
    assert [one["id"] for one in accessed] == ids
    assert len(lines) == len(HOSTILE)  # no stack, nothing beside
    assert all(one["outcome"] == "complete" and int(one["bytes"]) > 100 for one in accessed)
    text = service.read()
    assert text.isascii()
    assert "hunter2" not in text.lower()
    assert FORGED not in text
    assert {one["path"] for one in accessed} == {
        "unreadable", "unknown", "/images/{image_id}", "/images", "/healthz", "/images/upload", "/tags/rename"
    }  # fmt: skip


def test_in_json_every_line_of_the_process_is_an_object(run):
    service = run("json")
    for request in HOSTILE:
        service.send(request)
    service.send(b"GET /images/7 HTTP/1.1\r\n" + HEAD + b"X-Request-ID: mine-1.x_y\r\n\r\n")
    service.end()
    lines = [json.loads(line) for line in service.lines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert len(lines) == len(HOSTILE) + 3
    last = lines[-1]
    assert last.pop("seconds") >= 0
    assert last.pop("bytes") > 100
    assert last | {"time": ""} == {
        "time": "", "level": "info", "logger": "kt_images.access", "request_id": "mine-1.x_y", "method": "GET",
        "path": "/images/{image_id}", "status": 404, "outcome": "complete", "key": "-", "client": "127.0.0.1",
        "message": last["message"],
    }  # fmt: skip


def test_in_json_a_start_that_fails_is_an_object_too(dsn):
    environment = {**os.environ, "KT_IMAGES_ACCESS_LOG": "json", "POSTGRES_DSN": dsn}
    command = [sys.executable, "-m", "kt_images", "--port", "0", "--uploads_dir", "/proc/nowhere"]
    failed = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "cannot start" in json.loads(failed.stderr)["message"]


def test_unless_asked_for_no_request_is_logged(run):
    service = run("off")
    for request in HOSTILE:
        assert request_id(service.send(request))
    service.end()
    assert service.lines()[3:] == []


def test_requests_of_one_connection_have_ids_of_their_own_and_a_clients_is_taken(run):
    service = run("text")
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    answer = service.send(
        request + b"\r\n" + request + b"X-Request-ID: two\r\n\r\n" + request + b"Connection: close\r\n\r\n"
    )
    ids = re.findall(rb"X-Request-ID: (\S+)", answer)
    assert len(set(ids)) == 3
    assert ids[1] == b"two"
    assert [ACCESS.fullmatch(line)["id"].encode() for line in service.lines()[3:]] == ids


def test_an_answer_whose_client_leaves_is_told_as_such(run, server_dsn):
    service = run("text")
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(
            b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        time.sleep(0.2)
    service.wait_for(r"POST /images 499 left 0 ")
    with contextlib.closing(psycopg2.connect(server_dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into images (filename, tags) select repeat('x', 200), '{}' from generate_series(1, 100000)"
        )
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(b"GET /images HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1000)
    service.wait_for(r"GET /images 200 left \d{5,} ")


def test_the_database_goes_and_comes_back_in_a_line_each_without_its_password(run, folder):
    data = folder / "going"
    with embedded.running(data) as dsn:
        upgrade = [sys.executable, "-m", "kt_images.manage.load_fixtures", "--upgrade", "--postgres_dsn", dsn]
        subprocess.run(upgrade, check=True, stdout=subprocess.DEVNULL)
        service = run("off", f"{dsn} password=hunter2")
        assert service.get("/images/count") == b'{"totalImages":0}'
    for _ in range(30):
        service.get("/images/count")
    with embedded.running(data):
        service.wait_for("The database can be reached again")
        assert service.get("/images/count") == b'{"totalImages":0}'
    service.wait_for("(?s)cannot be reached.*cannot be reached")
    service.end()
    gone = [line for line in service.lines() if "The database cannot be reached: " in line]
    assert len(gone) == 2
    assert len(service.lines()) == 3 + 3
    assert "hunter2" not in service.read()


def test_the_store_goes_and_comes_back_in_a_line_each(run, tmp_path):
    service = run("off")
    service.get("/readyz")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    for _ in range(20):
        service.get("/readyz")
    (tmp_path / "elsewhere").rename(tmp_path / "images")
    time.sleep(presence.SETTLED_SECONDS)
    for _ in range(20):
        service.get("/readyz")
    service.end()
    assert [line.partition("presence")[2].partition(": ")[2] for line in service.lines()[3:]] == [
        "The store cannot be reached: No such file or directory",
        "The store can be reached again",
    ]


def test_that_the_files_were_moved_is_said_once_however_many_uploads_are_refused(run, server_dsn):
    service = run("off")
    ask(server_dsn, "update store set store_id = 'another'")
    body = b"--b\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n" + drawn("PNG") + b"\r\n--b--\r\n"
    upload = b"POST /images/upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: "
    for _ in range(5):
        assert b" 503 " in service.send(upload + f"{len(body)}\r\n".encode() + HEAD + b"\r\n" + body)
        service.get("/readyz")
    service.end()
    (line,) = service.lines()[3:]
    assert line.endswith(f": {StoreMovedError.sentence}")


async def test_that_the_files_were_moved_is_said_without_a_request(server_dsn, serve, caplog, monkeypatch):
    monkeypatch.setattr("kt_images.sampling.INTERVAL", 0.05)
    monkeypatch.setattr(logs, "FAULTS_SECONDS", 0.0)
    await serve()
    ask(server_dsn, "update store set store_id = 'another'")
    async with asyncio.timeout(20):
        while StoreMovedError.sentence not in caplog.messages:
            await asyncio.sleep(0.05)


def test_of_many_faults_each_is_said_once_an_hour_and_the_oldest_are_forgotten(caplog, monkeypatch):
    monkeypatch.setattr(logs, "MOST_FAULTS", 2)
    for name in ("test 1", "test 1", "test 2", "test 1", "test 3", "test 1"):
        logs.faults.error("%s", name)
    assert caplog.messages == ["test 1", "test 2", "test 3", "test 1"]
    monkeypatch.setattr(logs, "FAULTS_SECONDS", 0.0)
    logs.faults.error("test 1")
    assert caplog.messages[-2:] == ["test 1", "test 1"]


def test_what_comes_and_goes_at_once_is_not_said_at_once(caplog, monkeypatch):
    thing = Presence("thing")
    for _ in range(100):
        thing.missed("gone")
        thing.met()
    assert caplog.messages == ["The thing cannot be reached: gone"]
    monkeypatch.setattr(presence, "SETTLED_SECONDS", 0)
    thing.met()
    thing.met()
    assert caplog.messages[1:] == ["The thing can be reached again"]


def formatted(formatter, message, *values, error=None):
    stack = error and (type(error), error, None)
    return formatter.format(logging.LogRecord("a", logging.ERROR, "", 0, message, values, stack))


def test_a_stack_follows_on_lines_of_its_own_that_cannot_be_taken_for_others():
    text = formatted(logs._Text(), "%s", "a\r\nb\x1b[31m\u202e\x00\x85\u2028", error=ValueError(f"\n{FORGED}\n\x1b"))
    head, *rest = text.split("\n")
    assert head.endswith(r"ERROR a: a\r\nb\x1b[31m\u202e\x00\x85\u2028")
    assert all(line.startswith("    | ") for line in rest)
    assert any(FORGED in line for line in rest)
    assert "\x1b" not in text
    stack = json.loads(formatted(logs._Json(), "x", error=ValueError(FORGED)))["stack"]
    assert stack[-1] == f"ValueError: {FORGED}"


def test_bytes_that_are_not_text_can_be_logged():
    assert formatted(logs._Text(), "%s", b"\xff\xfe".decode(errors="surrogateescape")).endswith(r"\udcff\udcfe")
