"""Behind a real PgBouncer, which drops the limits that the service sets for its sessions."""

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from io import BytesIO

import pytest

from kt_images import errors
from kt_images.application import create_app
from kt_images.database import session_limits
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool
from pictures import drawn
from services import free_port, wait_until
from sql import ask

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(not PGBOUNCER, reason="there is no pgbouncer here")

CONFIGURATION = """
[databases]
postgres = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
server_check_delay = 0
{options}
"""

# What scaling.md says.
LIMITS = """
    do $$ begin create role pooled superuser login; exception when duplicate_object then null; end $$;
    alter role pooled set statement_timeout = '15s';
    alter role pooled set lock_timeout = '3s';
    alter role pooled set idle_in_transaction_session_timeout = '15s';
    alter role pooled set client_connection_check_interval = '1s';
"""


@pytest.fixture
def pooler(server_dsn, folder):
    """Run PgBouncer in front of the tests' server; give the DSN that leads through it."""
    with contextlib.ExitStack() as stack:

        def run(user="postgres", mode="session", size=4, options="ignore_startup_parameters = options"):
            port = free_port()
            file, log = folder / f"pgbouncer-{port}.ini", folder / f"pgbouncer-{port}.log"
            server = server_dsn.replace("user=postgres", f"user={user}")
            file.write_text(CONFIGURATION.format(server=server, port=port, mode=mode, size=size, options=options))
            account = pwd.getpwuid((folder / "db").stat().st_uid).pw_name  # which may enter the server's folder
            with log.open("wb") as written:
                process = subprocess.Popen(
                    [PGBOUNCER, *(["-u", account] if os.geteuid() == 0 else []), file], stdout=written, stderr=written
                )
            stack.callback(process.wait)
            stack.callback(process.kill)
            wait_until(lambda: "process up" in log.read_text())
            return f"host=127.0.0.1 port={port} dbname=postgres user={pwd.getpwuid(os.geteuid()).pw_name}"

        yield run


def refused(dsn, uploads, *arguments):
    """Start the service, which must not start; return what it says."""
    command = [sys.executable, "-m", "kt_images", "--postgres_dsn", dsn, "--uploads_dir", uploads, "--port", "0"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    return done.stderr


@needs_pgbouncer
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_whose_limits_are_dropped_does_not_start_and_says_what_to_do(dsn, pooler, uploads, workers):
    said = refused(pooler(), uploads, "--workers", workers)
    assert "no statement_timeout, lock_timeout, idle_in_transaction_session_timeout" in said
    assert "alter role … set statement_timeout = '15s'" in said


async def test_any_limit_that_is_missing_is_named(server_dsn):
    for name in session_limits.NAMES:
        async with Pool(f"{server_dsn} options='-c {name}=0'", 1, Limits()) as pool:
            with pytest.raises(errors.UnlimitedError, match=f"no {name},"):
                await session_limits.check(pool)
    async with Pool(server_dsn, 1, Limits()) as pool:
        await session_limits.check(pool)


async def test_replicas_are_looked_at_too(dsn, settings, aiohttp_server):
    changes = {"postgres_replica_dsn": f"{dsn} options='-c statement_timeout=0'"}
    with pytest.raises(errors.UnlimitedError):
        await aiohttp_server(create_app(settings.model_copy(update=changes)))


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_with_the_limits_of_the_role_everything_works(dsn, pooler, serve, mode):
    ask(dsn, LIMITS)
    # In transaction mode, more sessions of the service than of the server.
    size = 2 if mode == "transaction" else 16
    client = await serve(postgres_dsn=pooler("pooled", mode, size), pool_size=8, stream_pool_size=4, chunk_size=5)

    async def visit(n):
        form = {"tags": "pooled", "image": BytesIO(drawn("PNG"))}
        uploaded = await client.post("/images/upload", data=form)
        assert uploaded.status == 201, await uploaded.text()
        location = uploaded.headers["Location"]
        assert (await client.patch(location, json={"add_tags": [f"tag{n}"]})).status == 200
        for url in (location, "/images?tag=pooled", "/tags", f"{location}/attachments", "/images/count"):
            answer = await client.get(url)
            assert answer.status == 200, await answer.text()
            await answer.read()

    await asyncio.gather(*(visit(n) for n in range(30)))
    listed = [image for chunk in (await (await client.get("/images")).json())[:-1] for image in chunk]
    assert sorted(image["tags"][1] for image in listed) == sorted(f"tag{n}" for n in range(30))
    await (await client.patch("/images?tag=pooled", json={"add_tags": ["late"]})).read()
    assert (await (await client.get("/images/count?tag=late")).json()) == {"totalImages": 30}


@needs_pgbouncer
async def test_through_the_pooler_a_statement_that_hangs_is_ended(dsn, pooler):
    ask(dsn, LIMITS.replace("'15s'", "'200ms'"))
    async with Pool(pooler("pooled", "transaction"), 1, Limits()) as pool:
        with pytest.raises(errors.TooSlowError):
            await pool.query("select pg_sleep(10)")
        assert (await pool.query("select 1 as one"))[0].one == 1


@needs_pgbouncer
def test_a_pooler_that_refuses_the_limits_is_named_by_its_own_words(dsn, pooler):
    command = [
        sys.executable,
        "-m",
        "kt_images.manage.load_fixtures",
        "--upgrade",
        "--postgres_dsn",
        pooler(options=""),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "unsupported startup parameter: options" in done.stderr
