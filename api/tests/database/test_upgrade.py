"""A database of an earlier release keeps every row, and ends up with the schema of a fresh one."""

import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from io import BytesIO
from pathlib import Path

import pytest

from kt_images.application import create_app
from kt_images.database import embedded, schema
from kt_images.errors import NewerSchemaError, SchemaError
from pictures import drawn
from sql import ask

RELEASES = Path(__file__).parents[1] / "releases"
ALL = schema.migrations()
TABLES = ("applied_fixtures", "attachments", "images", "store")

# Everything that a schema consists of, as PostgreSQL's catalogue has it.
CATALOGUE = """
    select 'column', c.relname, concat_ws(' ', row_number() over (partition by c.oid order by attnum), attname,
        format_type(atttypid, atttypmod), attnotnull, attgenerated, attidentity, collname, pg_get_expr(adbin, adrelid))
    from pg_attribute join pg_class c on c.oid = attrelid left join pg_collation on pg_collation.oid = attcollation
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped
    union all
    select 'relation', relname, concat_ws(' ', relkind, reloptions)
    from pg_class where relnamespace = 'public'::regnamespace
    union all
    select 'constraint', conname, concat_ws(' ', conrelid::regclass, pg_get_constraintdef(oid))
    from pg_constraint where connamespace = 'public'::regnamespace
    union all
    select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    from pg_index join pg_class on oid = indexrelid where relnamespace = 'public'::regnamespace
    union all
    select 'trigger', tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
    union all
    select 'function', proname, pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
    order by 1, 2, 3
"""


def rows(dsn):
    return {table: ask(dsn, f"select * from {table} order by 1, 2") for table in TABLES}


def command(name, dsn, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"kt_images.{name}", "--postgres_dsn", dsn, *map(str, arguments)],
        env={**os.environ, "KT_IMAGES_PORT": "0"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def upgrade(dsn):
    return command("manage.load_fixtures", dsn, "--upgrade")


def made_by_release(dsn, release):
    ask(dsn, (RELEASES / release / "database.sql").read_text())


@pytest.fixture(params=sorted(path.name for path in RELEASES.iterdir() if path.is_dir()))
def old(request, server_dsn, tmp_path):
    """A database and a store as a release made them; gives the DSN and the store's folder."""
    ask(server_dsn, "drop database if exists old with (force)")
    ask(server_dsn, "create database old")
    dsn = server_dsn.replace("dbname=postgres", "dbname=old")
    made_by_release(dsn, request.param)
    shutil.copytree(RELEASES / request.param / "store", tmp_path / "images")
    return dsn, tmp_path / "images"


def test_every_row_is_kept_and_the_schema_is_that_of_a_fresh_database(old, new_database):
    dsn, _ = old
    before = rows(dsn)
    assert upgrade(dsn).stdout.splitlines() == [f"applied {name}" for name in ALL]
    after = rows(dsn)
    ledger = {name for name, _ in after.pop("applied_fixtures")}
    assert ledger == {name for name, _ in before.pop("applied_fixtures")} | set(ALL)
    assert after == before
    assert ask(dsn, CATALOGUE) == ask(new_database("fresh_schema"), CATALOGUE)
    assert upgrade(dsn).stdout == "the schema is up to date\n"


def test_a_database_that_never_had_the_indexes_gets_them(old, new_database):
    dsn, _ = old
    ask(dsn, "delete from applied_fixtures where name = '02_create-index.sql'")
    ask(dsn, "drop index images_tags, attachments_sha256")
    done = upgrade(dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert ask(dsn, CATALOGUE) == ask(new_database("fresh_schema"), CATALOGUE)


def test_a_fresh_database_counts_every_migration_as_applied(new_database):
    dsn = new_database("fresh_schema")
    assert {name for (name,) in ask(dsn, "select name from applied_fixtures")} == {*schema.fixtures()[1:], *ALL}
    assert upgrade(dsn).stdout == "the schema is up to date\n"


def test_a_service_refuses_an_older_schema_and_names_the_command_that_upgrades_it(old):
    dsn, uploads = old
    refused = command("__main__", dsn, "--uploads_dir", uploads)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "python3 -m kt_images.manage.load_fixtures --upgrade" in refused.stderr


async def test_a_service_refuses_a_schema_of_the_future_and_so_does_an_upgrade(pool, dsn, settings, aiohttp_server):
    await pool.query("insert into applied_fixtures (name) values ('9999_future.sql')")
    try:
        with pytest.raises(NewerSchemaError, match="newer"):
            await aiohttp_server(create_app(settings))
        refused = upgrade(dsn)
    finally:
        await pool.query("delete from applied_fixtures where name = '9999_future.sql'")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    await schema.check(pool)


async def test_a_schema_that_lacks_a_migration_is_an_older_one(pool):
    await pool.query("delete from applied_fixtures where name = %s", (ALL[-1],))
    try:
        with pytest.raises(SchemaError, match="--upgrade"):
            await schema.check(pool)
    finally:
        await pool.query("insert into applied_fixtures (name) values (%s)", (ALL[-1],))


async def test_what_an_earlier_release_stored_is_served_and_its_leavings_are_collected(old, serve):
    dsn, uploads = old
    upgrade(dsn)
    client = await serve(postgres_dsn=dsn, uploads_dir=uploads, collect_interval=0.05, collect_grace=60)
    stored = [row[:3] for row in ask(dsn, "select image_id, filename, sha256, size from attachments")]
    assert stored
    for image_id, _, sha256 in stored:
        found = await (await client.get(f"/images/{image_id}/attachments")).json()
        assert sha256 in {one["sha256"] for one in found}
        for one in found:
            assert len(await (await client.get(one["url"])).read()) == one["size"]
    found = command("manage.check", dsn, "--uploads_dir", uploads, "--grace", "0")
    assert (found.returncode, found.stdout.count("orphan: ")) == (1, 2)
    assert command("manage.check", dsn, "--uploads_dir", uploads, "--grace", "0", "--repair").returncode == 0
    answer = await client.post("/images/2/attachment/new.png", data={"image": BytesIO(drawn("PNG"))})
    assert answer.status == 200


async def test_a_role_that_does_not_own_the_tables_can_store_files_after_the_upgrade(old, serve):
    dsn, uploads = old
    ask(
        dsn,
        """
        do $$ begin create role app login; exception when duplicate_object then null; end $$;
        grant select, insert, update, delete on all tables in schema public to app
    """,
    )
    assert upgrade(dsn).returncode == 0
    assert ask(dsn, "select has_table_privilege('app', 'known_stores', 'select')") == [(True,)]
    client = await serve(postgres_dsn=dsn.replace("user=postgres", "user=app"), uploads_dir=uploads)
    for url, status in (("/images/upload", 201), ("/images/2/attachment/a.png", 200)):
        answer = await client.post(url, data={"image": BytesIO(drawn("PNG"))})
        assert answer.status == status, await answer.text()
    assert (await client.delete("/images/2")).status == 204


def test_an_embedded_database_is_upgraded_at_the_start(folder, tmp_path):
    data = folder / "old-embedded"
    with embedded.running(data) as dsn:
        made_by_release(dsn, "0.1.0")
    environment = {**os.environ, "KT_IMAGES_PORT": "0", "KT_IMAGES_HOST": "127.0.0.1"}
    environment |= {"KT_IMAGES_DATABASE_DIR": str(data), "KT_IMAGES_UPLOADS_DIR": str(tmp_path / "images")}
    shutil.copytree(RELEASES / "0.1.0" / "store", tmp_path / "images")
    service = [sys.executable, "-m", "kt_images"]
    with subprocess.Popen(service, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert "http://" in process.stdout.readline()
        process.terminate()
        process.communicate(timeout=30)
    with embedded.running(data) as dsn:
        assert {name for (name,) in ask(dsn, "select name from applied_fixtures")} >= set(ALL)
        assert ask(dsn, "select count(*) from images") == [(3,)]


def test_a_migration_that_fails_leaves_everything_as_it_was(old):
    dsn, _ = old
    before = rows(dsn)
    ask(dsn, "create view orphans as select 1 as mine")
    catalogue = ask(dsn, CATALOGUE)
    failed = upgrade(dsn)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert ALL[0] in failed.stderr
    assert rows(dsn) == before
    assert ask(dsn, CATALOGUE) == catalogue


@pytest.mark.parametrize("name", ALL)
def test_a_migration_says_how_long_it_takes_and_what_it_locks(name):
    text = resources.files(schema.MIGRATIONS).joinpath(name).read_text()
    head = re.match(r"(--.*\n)+", text)[0].lower()
    assert re.search(r"millisecond|second|minute", head)
    assert re.search(r"block|lock", head)
