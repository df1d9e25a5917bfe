"""Several processes that serve: children and parents that are killed, told to stop, and replaced, under load."""

import asyncio
import fcntl
import json
import os
import pty
import signal
import socket
import termios
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest

from half_upload import HalfUpload
from kt_images.base_settings import Settings, read_settings
from kt_images.database import embedded
from kt_images.serving.supervisor import settings_of_worker
from load import load
from services import wait_for_end, wait_until
from sql import ask

UPLOADS = 50


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, json.load(answer)


def names(dsn):
    return {name for (name,) in ask(dsn, "select filename from images")}


def refuses_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionError as error:
        return isinstance(error, ConnectionRefusedError)
    return False


@pytest.fixture
def database(request, folder, server_dsn, dsn):
    """How the service finds its database: embedded, or by a DSN."""
    if request.param == "embedded":
        return ["--postgres_dsn", "", "--database_dir", str(folder / f"workers-{abs(hash(request.node.name))}")]
    return ["--postgres_dsn", dsn]


either_database = pytest.mark.parametrize("database", ["embedded", "dsn"], indirect=True)


@either_database
def test_workers_serve_and_end_with_their_parent_which_ends_cleanly(workers, database):
    with workers(2, *database) as service:
        assert len(service.pids()) == 2
        assert get(f"{service.url}/readyz") == (200, {"status": "ok"})
        assert service.end(signal.SIGTERM) == 0
        assert service.log() == ""


@either_database
def test_a_killed_parent_takes_everything_with_it_and_the_service_can_be_started_again(workers, database):
    for _ in range(2):
        with workers(2, *database) as service:
            kin = service.kin()
            service.end(signal.SIGKILL)
            wait_for_end(kin)
            # A process whose first thread has ended counts as ended; its sockets are closed with the last one.
            wait_until(partial(refuses_connections, service.port))


async def test_a_killed_worker_breaks_its_own_requests_alone_and_is_replaced(workers, dsn):
    with workers(2, "--postgres_dsn", dsn) as service:
        before = service.pids()
        async with load(service.port) as clients:
            await clients.further(200)
            for _ in range(3):
                broken = clients.broken.total()
                await asyncio.to_thread(service.kill, min(service.pids()))
                await clients.further(200)
                assert clients.broken.total() - broken <= 16
                await asyncio.to_thread(wait_until, lambda: len(service.pids()) == 2)
        assert "ConnectionRefusedError" not in clients.broken
        assert set(clients.answers) == {201}
        assert clients.stored <= names(dsn)
        assert len(service.pids() & before) < 2


async def test_connections_do_not_wait_for_a_worker_that_keeps_ending(workers, dsn):
    with workers(2, "--postgres_dsn", dsn) as service:
        victim = min(service.pids())
        others = service.pids() - {victim}
        for _ in range(3):
            await asyncio.to_thread(service.kill, victim)
            await asyncio.to_thread(wait_until, lambda: len(service.pids()) == 2)
            (victim,) = service.pids() - others
        await asyncio.to_thread(service.kill, victim)  # the pause is of seconds by now
        for _ in range(20):
            assert (await asyncio.to_thread(get, f"{service.url}/healthz"))[0] == 200
        assert service.pids() == others


async def test_all_workers_share_the_load(workers, dsn):
    with workers(2, "--postgres_dsn", dsn) as service:
        async with load(service.port, clients=64) as clients:
            await clients.further(500)
            served = [len(psutil.Process(pid).net_connections("tcp")) for pid in service.pids()]
        assert min(served) > 10, served


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_hangup_replaces_the_workers_and_breaks_nothing(workers, dsn, connection):
    with workers(2, "--postgres_dsn", dsn) as service:
        before = service.pids()
        async with load(service.port, connection=connection) as clients:
            await clients.further(100)
            service.process.send_signal(signal.SIGHUP)
            service.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.1)
            service.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(40):
                while service.pids() & before or len(service.pids()) != 2:
                    await asyncio.sleep(0.05)
            await clients.further(100)
        assert not clients.broken
        assert set(clients.answers) == {201}
        assert clients.stored == names(dsn)
        assert service.end(signal.SIGTERM) == 0


async def test_a_connection_that_is_idle_while_workers_are_replaced_gets_one_more_answer(workers, dsn):
    with workers(2, "--postgres_dsn", dsn) as service:
        before = service.pids()
        connections = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(8)]
        for hangup in (True, False):
            for reader, writer in connections:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                await reader.readexactly(len('{"status":"ok"}'))
                await asyncio.sleep(0 if hangup else 0.5)  # some before it retires, some afterwards
            if hangup:
                service.process.send_signal(signal.SIGHUP)
        for _, writer in connections:
            writer.close()
        async with asyncio.timeout(40):
            while service.pids() & before:
                await asyncio.sleep(0.05)


def test_a_decoder_holds_no_socket_of_the_service(workers, dsn):
    with workers(2, "--postgres_dsn", dsn) as service:
        ask(dsn, "insert into images (filename) values ('x')")
        with HalfUpload(service.url, 1) as upload:
            assert upload.finish() == 200
        (decoder,) = {*service.kin()} - {service.parent, *map(psutil.Process, service.pids())}
        assert [one.family for one in decoder.net_connections("all")] == [socket.AF_UNIX]  # its own


def test_a_terminal_that_is_closed_ends_the_service(workers, dsn):
    terminal, theirs = pty.openpty()
    with workers(
        2, "--postgres_dsn", dsn, stdin=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as service:  # fmt: skip
        os.close(theirs)
        os.close(terminal)
        assert service.process.wait(20) == 0


async def test_the_end_under_load_loses_nothing_that_was_acknowledged(workers, dsn):
    with workers(2, "--postgres_dsn", dsn) as service:
        async with load(service.port) as clients:
            await clients.further(200)
            started = time.monotonic()
            assert await asyncio.to_thread(service.end, signal.SIGTERM) == 0
            assert time.monotonic() - started < 15
        assert set(clients.answers) <= {201, 503}
        assert clients.stored <= names(dsn)


def test_a_second_signal_ends_all_at_once(workers, dsn):
    with workers(2, "--postgres_dsn", dsn, "--grace_period", "60") as service:
        half = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(8)]
        for one in half:
            one.sendall(
                b"POST /images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            )
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert service.process.poll() is None
        assert service.end(signal.SIGTERM) == 1
        for one in half:
            one.close()


@pytest.mark.parametrize("finish", [True, False])
def test_uploads_in_flight_at_the_end_are_acknowledged_or_leave_nothing(workers, tmp_path, dsn, cared_for, finish):
    with workers(2, "--postgres_dsn", dsn, "--grace_period", "10" if finish else "1") as service:
        ask(dsn, f"insert into images (filename) select 'x' from generate_series(1, {UPLOADS})")
        half = [HalfUpload(service.url, image + 1) for image in range(UPLOADS)]
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        if finish:
            with ThreadPoolExecutor(UPLOADS) as pool:
                assert set(pool.map(HalfUpload.finish, half)) == {200}
        assert service.process.wait(15) == 0
        for one in half:
            one.close()
    stored = UPLOADS if finish else 0
    assert cared_for() == f"{stored} rows, {stored} objects: all is well\n"


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("delete from applied_fixtures where name like '02%'", "load_fixtures --upgrade"),
        ("insert into applied_fixtures values ('9999_newer.sql')", "newer than this version"),
        ("insert into store (store_id) values (gen_random_uuid())", "not the store of this database"),
    ],
)
def test_what_keeps_workers_from_starting_ends_all_with_one_sentence(workers, new_database, statement, sentence):
    dsn = new_database("unfit")
    ask(dsn, statement)
    with pytest.raises(AssertionError, match=sentence) as refused, workers(3, "--postgres_dsn", dsn):
        pass
    assert str(refused.value).count("kt-images cannot start") == 1


def test_a_database_that_comes_late_and_without_the_schema_ends_all_with_one_sentence(workers, folder):
    data = folder / "late-for-workers"
    with embedded.running(data) as dsn:
        pass
    with workers(2, "--postgres_dsn", dsn) as service:
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get(f"{service.url}/readyz")
        with embedded.running(data):
            assert service.process.wait(30) == 1
        assert service.log().count("kt-images cannot start") == 1
        assert "load_fixtures --upgrade" in service.log()


def test_workers_that_crash_at_the_start_end_the_service(workers, dsn, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'kt_images.serving.worker' in sys.orig_argv: os._exit(3)\n"
    )
    with (
        pytest.raises(AssertionError, match="ended with status 3 before it could serve"),
        workers(2, "--postgres_dsn", dsn, variables={"PYTHONPATH": str(tmp_path)}),
    ):
        pass


def test_a_replacement_that_cannot_start_leaves_the_old_workers_serving(workers, new_database):
    dsn = new_database("outdated")
    with workers(2, "--postgres_dsn", dsn) as service:
        before = service.pids()
        ask(dsn, "delete from applied_fixtures where name like '02%'")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not replaced" in service.log())
        assert service.pids() == before
        assert get(f"{service.url}/healthz")[0] == 200
        service.kill(min(before))  # for this one there is no old one that could stay
        assert service.process.wait(30) == 1
        assert service.log().count("kt-images cannot start") == 1


async def test_many_hangups_and_deaths_leave_no_descriptor_and_no_process_behind(workers, dsn):
    with workers(2, "--postgres_dsn", dsn) as service:
        before = service.parent.num_fds(), len(service.kin())
        for _ in range(2):
            pids = service.pids()
            service.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(40):
                while service.pids() & pids or len(service.pids()) != 2:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(service.kill, min(service.pids()))
            await asyncio.to_thread(wait_until, lambda: len(service.pids()) == 2)
        await asyncio.to_thread(wait_until, lambda: (service.parent.num_fds(), len(service.kin())) == before)


def test_the_limits_are_those_of_all_workers_together():
    made = settings_of_worker(Settings(workers=3, pool_size=8, max_uploads=2, decode_memory=2**28), "dbname=x")
    assert (made.pool_size, made.stream_pool_size, made.max_streams, made.max_uploads) == (3, 3, 334, 1)
    assert made.decode_memory == -(-(2**28) // 3)
    assert settings_of_worker(Settings(workers=128), "").decode_memory == 64 * 2**20


def test_a_worker_gets_the_settings_of_its_parent_whatever_the_environment_says(monkeypatch):
    for name, value in {"POSTGRES_DSN": "dbname=other", "KT_IMAGES_PORT": "x", "KT_IMAGES_EAGER_WIDTHS": ""}.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(
        ["--postgres_dsn", "dbname=a", "--port", "81", "--cors_origins", "https://a.b,https://c.d"]
    )
    sent = settings_of_worker(settings, "dbname=a password=b")
    assert Settings.model_validate_json(sent.model_dump_json()) == sent
