"""The check, the backup and the restore of a store in a bucket."""

import asyncio
import json
import os
import subprocess
import sys
from io import BytesIO

import obstore
import pytest

from sql import ask
from victim import a_picture

NAMES = "abcdefgh"


@pytest.fixture
async def client(serve, bucket):
    return await serve(**bucket.settings)


@pytest.fixture
async def stocked(client):
    """An image with eight attachments, one of them large; gives their bytes."""
    await client.post("/images", json={"filename": "x"})
    expected = {name: a_picture(700 if name == "c" else 40) for name in NAMES}
    for name, picture in expected.items():
        answer = await client.post(f"/images/1/attachment/{name}", data={"image": BytesIO(picture)})
        assert answer.status == 200
    return expected


@pytest.fixture
def command(bucket, dsn, tmp_path):
    async def run(name, *arguments, database=dsn, store=bucket.place, status=0):
        environment = {
            **os.environ, "POSTGRES_DSN": database, "KT_IMAGES_UPLOADS_DIR": str(tmp_path / "images"),
            "KT_IMAGES_STORE": store, "KT_IMAGES_STORE_ENDPOINT": bucket.server.endpoint,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"kt_images.manage.{name}", *map(str, arguments),
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == status, output.decode() + errors.decode()
        assert b"Traceback" not in errors
        return output.decode()

    return run


def key(dsn, name):
    return ask(dsn, f"select object_key from attachments where filename = '{name}'")[0][0]


async def test_what_is_wrong_in_a_bucket_is_named_and_orphans_are_left_to_the_collector(stocked, bucket, dsn, command):
    assert "8 rows, 9 objects: all is well" in await command("check", "--deep", "--grace", "0")  # with a thumbnail
    objects = bucket.server.client(bucket.bucket)
    folder = "some/where/objects/"
    obstore.delete(objects, folder + key(dsn, "a"))
    obstore.put(objects, folder + key(dsn, "b"), b"short")
    obstore.put(objects, folder + key(dsn, "c"), b"x" * len(stocked["c"]))
    obstore.put(objects, folder + f"001/1-{0:032x}.png", b"orphan")
    obstore.put(objects, folder + "thumbs.db", b"?")
    wrong = {("missing", "a"), ("different", "b"), ("orphan", None), ("foreign", None)}
    for flags, expected in ((), wrong), (("--deep",), wrong | {("different", "c")}):
        *found, _ = map(json.loads, (await command("check", "--ndjson", "--grace", "0", *flags, status=1)).splitlines())
        assert {(one["problem"], one["filename"]) for one in found} == expected
    await command("check", "--repair", "--grace", "0", status=1)
    assert ask(dsn, "select object_key from orphans") == [(f"001/1-{0:032x}.png",)]


async def test_a_backup_of_a_bucket_is_restored_to_a_folder_and_to_another_bucket(
    stocked, bucket, command, new_database, serve, tmp_path
):
    await command("backup", tmp_path / "backup.tar")
    for number, store in enumerate((str(tmp_path / "restored"), f"{bucket.place}/restored")):
        empty = await asyncio.to_thread(new_database, f"restored_{number}")
        await command("restore", tmp_path / "backup.tar", database=empty, store=store)
        assert "8 rows, 8 objects" in await command("check", "--deep", "--grace", "0", database=empty, store=store)
        client = await serve(**bucket.settings | {"store": store, "postgres_dsn": empty})
        for name, picture in stocked.items():
            assert await (await client.get(f"/media/1/{name}")).read() == picture


async def test_a_backup_names_what_is_damaged_and_leaves_no_archive(stocked, bucket, dsn, command, tmp_path):
    obstore.delete(bucket.server.client(bucket.bucket), "some/where/objects/" + key(dsn, "f"))
    await command("backup", tmp_path / "backup.tar", status=1)
    assert not (tmp_path / "backup.tar").exists()
