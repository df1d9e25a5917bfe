"""The ranges of api/deploy/partitions, made beside a service that goes on, and what a divided database does."""

import asyncio
import itertools
import subprocess
import sys
from io import BytesIO

import pytest

from conftest import ROOT
from kt_images.database import embedded
from pictures import drawn
from sql import ask

FILES = ROOT / "api" / "deploy" / "partitions"
OLDEST = 17  # of PostgreSQL

RANGES = """
    select relname::text from pg_inherits join pg_class on oid = inhrelid
    where inhparent = 'images'::regclass order by 1
"""


@pytest.fixture
def divided(new_database):
    """Make a database, and give its DSN and what applies one of the files to it."""
    psql = embedded.find_binaries() / "psql"
    dsn = new_database("divided")
    if not psql.exists():
        pytest.skip("there is no psql here")
    if int(ask(dsn, "show server_version_num")[0][0]) < OLDEST * 10_000:
        pytest.skip(f"PostgreSQL is older than {OLDEST}")

    def apply(name, **values):
        variables = [word for key, value in values.items() for word in ("-v", f"{key}={value}")]
        for _ in range(10):  # a list may be under way for longer than it waits
            done = subprocess.run(
                [psql, dsn, "--quiet", *variables, "-f", FILES / name],
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            if "lock timeout" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stderr

    return dsn, apply


async def upload(client, number, **query):
    form = {"tags": f"tag{number % 3}", "image": BytesIO(drawn("PNG", size=(8 + number, 8)))}
    return await client.post("/images/upload", data=form, params=query)


async def listed(client, query=""):
    answer = await client.get(f"/images{query}")
    chunks = await answer.json()
    images = [image for chunk in chunks[:-1] for image in chunk]
    assert chunks[-1]["totalImages"] == len(images)
    return [image["image_id"] for image in images]


async def test_a_service_goes_on_while_its_tables_are_divided_and_misses_nothing(divided, serve, tmp_path):
    dsn, apply = divided
    client = await serve(postgres_dsn=dsn)
    stored, failed, numbers, ended = [], [], itertools.count(), asyncio.Event()

    async def work():
        while not ended.is_set():
            answer = await upload(client, next(numbers))
            if answer.status == 201:
                stored.append((await answer.json())["image_id"])
                known = set(stored)
                assert known <= set(await listed(client))
            else:
                failed.append(await answer.text())

    workers = [asyncio.create_task(work()) for _ in range(3)]
    until = 100_000
    for name in ("1_bounds.sql", "2_images.sql", "3_attachments.sql"):
        before = len(stored)
        await asyncio.to_thread(apply, name, until=until)
        async with asyncio.timeout(20):
            while len(stored) < before + 5:
                await asyncio.sleep(0.01)
    ended.set()
    await asyncio.gather(*workers)
    assert not failed
    assert await listed(client) == sorted(stored)
    apply("4_more.sql", size=10, count=3)
    apply("4_more.sql", size=20, count=1)
    assert ask(dsn, RANGES) == [(f"images_{n}",) for n in range(1, 6)]
    ask(dsn, f"select setval(pg_get_serial_sequence('images', 'image_id'), {until - 4})")
    for _ in range(20):
        answer = await upload(client, next(numbers))
        stored.append((await answer.json())["image_id"])
    assert await listed(client) == sorted(stored)
    await compare(client, dsn, tmp_path, sorted(stored))


async def compare(client, dsn, folder, ids):
    """What calls do across ranges."""
    tagged = [one for one in ids if (await (await client.get(f"/images/{one}")).json())["tags"] == ["tag1"]]
    assert await listed(client, "?tag=tag1") == tagged
    assert await listed(client, "?tag=tag1&order=newest") == tagged[::-1]
    assert await listed(client, f"?after={ids[-10]}") == ids[-9:]
    assert (await upload(client, 0, on_duplicate="reject")).status == 409
    await (await client.patch("/images?tag=tag1", json={"add_tags": ["late"]})).read()
    assert await listed(client, "?tag=late") == tagged
    tags = await (await client.get("/tags?tag=late")).json()
    assert tags[0] == [{"tag": "late", "images": len(tagged)}]
    for one in (ids[0], ids[-1]):
        form = {"image": BytesIO(drawn("PNG"))}
        assert (await client.post(f"/images/{one}/attachment/b.png", data=form)).status == 200
        assert (await client.delete(f"/images/{one}")).status == 204
    assert ask(dsn, "select count(*) from orphans") == [(4,)]
    command = [sys.executable, "-m", "kt_images.manage.check", "--postgres_dsn", dsn, "--deep"]
    command += ["--uploads_dir", str(folder / "images")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
