"""The embedded PostgreSQL, which nobody has to install."""

import contextlib
import os
import pwd
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg2
import pytest

from kt_images.database import embedded
from kt_images.errors import UnavailableError

IS_LINUX = sys.platform == "linux"

RUN = """
import sys, pathlib, time
from kt_images.database import embedded
with embedded.running(pathlib.Path(sys.argv[1])) as dsn:
    print(dsn, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def data(folder, request):
    return folder / f"embedded-{abs(hash(request.node.name))}"


def ask(dsn, sql):
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


def ended(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.02)
    return False


def postmaster(data):
    return int((data / "postmaster.pid").read_text().split()[0])


def test_data_survives_a_restart(data):
    with embedded.running(data) as dsn:
        ask(dsn, "create table kept as select 7 as seven")
    with embedded.running(data) as dsn:
        assert ask(dsn, "select seven from kept") == 7


def test_letters_outside_ascii_count_as_letters(data):
    with embedded.running(data) as dsn:
        assert ask(dsn, "select lower('ÄЖ')") == "äж"
        ask(dsn, "create extension pg_trgm")
        assert ask(dsn, "select cardinality(show_trgm('жж'))") > 0


def test_nobody_else_can_reach_it(data):
    with embedded.running(data) as dsn:
        assert ask(dsn, "show listen_addresses") == ""
        sockets = Path(dsn.split()[0].removeprefix("host="))
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert data.stat().st_mode & 0o777 == 0o700


def test_a_second_one_on_the_same_folder_adopts_the_server_and_leaves_it_running(data):
    with embedded.running(data) as first:
        with embedded.running(data) as second:
            assert second == first
        assert ask(first, "select 1") == 1


@pytest.mark.skipif(not IS_LINUX, reason="the kernel's signal at a parent's death is Linux's")
def test_it_shuts_down_cleanly_when_its_parent_is_killed(data):
    with subprocess.Popen([sys.executable, "-c", RUN, str(data)], stdout=subprocess.PIPE) as parent:
        parent.stdout.readline()
        pid = postmaster(data)
        parent.send_signal(signal.SIGKILL)
    assert ended(pid)
    state = subprocess.run(
        [embedded.find_binaries() / "pg_controldata", data], capture_output=True, text=True, check=True
    )
    assert "shut down" in state.stdout.split("Database cluster state:")[1].splitlines()[0]
    with embedded.running(data) as dsn:
        assert ask(dsn, "select 1") == 1


@pytest.mark.skipif(not IS_LINUX, reason="reads /proc")
def test_a_stale_pid_of_another_process_is_not_taken_for_the_server(data):
    with embedded.running(data):
        lines = (data / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (data / "postmaster.pid").write_text("\n".join(lines))
    with embedded.running(data) as dsn:
        assert ask(dsn, "select 1") == 1


def test_pg_variables_of_the_environment_do_not_reach_it(data, monkeypatch):
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=nonsense")
    with embedded.running(data):
        monkeypatch.undo()


def test_data_of_another_major_version_is_refused(data):
    with embedded.running(data):
        pass
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(UnavailableError, match="was made by PostgreSQL 9"), embedded.running(data):
        pass


def test_a_folder_with_something_else_in_it_is_refused(data):
    data.mkdir()
    (data / "mine.txt").write_text("mine")
    with pytest.raises(UnavailableError, match="not empty"), embedded.running(data):
        pass
    assert (data / "mine.txt").read_text() == "mine"


def test_an_interrupted_initialisation_starts_over(data):
    half = data.with_name(data.name + ".new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with embedded.running(data) as dsn:
        assert ask(dsn, "select 1") == 1


def test_the_folder_may_lie_below_one_that_is_closed_to_others(data):
    """/root, for one, where the server's account cannot walk."""
    data.mkdir(mode=0o700)
    with embedded.running(data / "db") as dsn:
        assert ask(dsn, "select 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: all the other tests show it")
def test_an_ordinary_user_runs_it_too(data):
    user = pwd.getpwnam("nobody")
    data.mkdir()
    os.chown(data, user.pw_uid, user.pw_gid)
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if subprocess.run(
                [python, "-c", "import kt_images.database.embedded"], env=environment, check=False, **identity
            ).returncode:
                continue
            command = [python, "-c", RUN.replace("time.sleep(60)", ""), str(data / "db")]
            for _ in range(2):
                process = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=False, **identity
                )
                assert process.stdout.startswith("host="), process.stderr
            return
    pytest.skip("nobody cannot reach a Python with these modules")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give data to somebody")
def test_the_owner_of_the_data_need_not_have_a_name(data):
    with embedded.running(data):
        pass
    for path in [data, *data.rglob("*")]:
        os.chown(path, 54321, 54321)
    with embedded.running(data) as dsn:
        assert ask(dsn, "select 1") == 1


def test_ensure_restarts_it_after_a_crash_also_if_it_was_adopted(data):
    with embedded.Embedded(data) as first, embedded.Embedded(data) as second:
        os.kill(postmaster(data), signal.SIGQUIT)
        first._child._process.wait(10)
        second.ensure()
        first.ensure()
        assert first.dsn == second.dsn
        assert ask(first.dsn, "select 1") == 1


@contextlib.contextmanager
def no_descriptor_left():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_healthy_server_is_left_alone_when_there_is_no_descriptor_to_look_at_it(data):
    with embedded.Embedded(data) as server:
        pid = postmaster(data)
        with no_descriptor_left():
            server.ensure()
        assert postmaster(data) == pid
        assert ask(server.dsn, "select 1") == 1


def test_an_adopted_server_that_cannot_be_looked_at_is_not_taken_for_dead(data):
    with embedded.Embedded(data) as first, embedded.Embedded(data) as second:
        with no_descriptor_left(), pytest.raises(UnavailableError, match="Too many open files"):
            second.ensure()
        second.ensure()
        assert second._child is None
        assert ask(first.dsn, "select 1") == 1


def test_it_outlives_the_thread_that_asked_for_it(data):
    """Linux ends a child together with the thread that started it."""
    with embedded.Embedded(data) as server:
        os.kill(postmaster(data), signal.SIGQUIT)
        server._child._process.wait(10)
        asking = threading.Thread(target=server.ensure)
        asking.start()
        asking.join()
        assert not ended(postmaster(data), 1)


def test_the_error_says_why_it_does_not_start(data):
    with embedded.running(data):
        pass
    (data / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(UnavailableError, match="nonsense"), embedded.running(data):
        pass


def test_another_postgresql_can_be_chosen(data):
    systems = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not systems:
        pytest.skip("this system has no PostgreSQL of its own")
    with embedded.running(data, find=lambda: systems[-1]) as dsn:
        assert ask(dsn, "show server_version").startswith(systems[-1].parent.name)
