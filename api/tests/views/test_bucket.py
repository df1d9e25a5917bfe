"""The whole way of a file, by HTTP, with a bucket as the store."""

import asyncio
import contextlib
import hashlib
import socket
import subprocess
import sys
from io import BytesIO

import aiohttp
import obstore
import pytest
from aiohttp.test_utils import TestServer
from PIL import Image

from kt_images import collector
from kt_images.application import create_app
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool
from kt_images.errors import OtherStoreError
from kt_images.files.stores import store_of
from pictures import JPEG, drawn

BYTES = JPEG.read_bytes()
ETAG = f'"{hashlib.sha256(BYTES).hexdigest()}"'


@pytest.fixture
def settings(settings, bucket):
    return settings.model_copy(update=bucket.settings)


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "example.jpg"})
    return client


async def upload(client, content, name="a"):
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(content), filename="x")
    answer = await client.post(f"/images/1/attachment/{name}", data=form)
    return answer.status


async def create(client, content, **query):
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(content), filename="x")
    return await client.post("/images/upload", data=form, params=query)


async def get(client, url="/media/1/a", **options):
    answer = await client.get(url, **options)
    return answer.status, await answer.read()


def objects(bucket):
    return [name for name in bucket.names() if name.startswith("objects/")]


@pytest.fixture
async def collect(dsn, settings):
    async def run():
        store = store_of(settings)
        async with Pool(dsn, 2, Limits()) as pool:
            await store.open()
            await store.enter(await store.claim())
            return await collector.collect(pool, store, settings.thumbnail_widths, grace=0)

    return run


async def test_a_file_comes_back_with_every_header_that_a_disk_gives_it(image, bucket):
    assert await upload(image, BYTES) == 200
    answer = await image.get("/media/1/a")
    assert (answer.status, await answer.read()) == (200, BYTES)
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(len(BYTES))
    for name in ("Repr-Digest", "Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"):
        assert answer.headers.getall(name)
    kept = objects(bucket)
    assert len(kept) == 2  # and the thumbnail that is made at the upload
    found = obstore.get(bucket.server.client(bucket.bucket), f"some/where/{kept[0]}")
    assert found.attributes["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("headers", "status", "content"),
    [
        ({"Range": "bytes=0-9"}, 206, BYTES[:10]),
        ({"Range": "bytes=-5"}, 206, BYTES[-5:]),
        ({"Range": "bytes=5-9", "If-Range": ETAG}, 206, BYTES[5:10]),
        ({"Range": "bytes=5-9", "If-Range": '"x"'}, 200, BYTES),
        ({"Range": "bytes=0-1,4-5"}, 200, BYTES),
        ({"If-Match": ETAG}, 200, BYTES),
        ({"If-None-Match": ETAG}, 304, b""),
    ],
)
async def test_ranges_and_conditions(image, headers, status, content):
    await upload(image, BYTES)
    assert await get(image, headers=headers) == (status, content)


@pytest.mark.parametrize(("headers", "status"), [({"If-Match": '"x"'}, 412), ({"Range": f"bytes={len(BYTES)}-"}, 416)])
async def test_what_is_refused(image, headers, status):
    await upload(image, BYTES)
    assert (await get(image, headers=headers))[0] == status


async def test_head_is_get_without_the_bytes(image):
    await upload(image, BYTES)
    whole, head = await image.get("/media/1/a"), await image.head("/media/1/a")
    assert (head.status, await head.read()) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Repr-Digest", "Accept-Ranges", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]


async def test_thumbnails_are_made_once_and_kept_beside_it(image, bucket, monkeypatch):
    await upload(image, BYTES)
    for _ in range(2):
        answer = await image.get("/media/1/a?width=160")
        assert (answer.status, answer.content_type) == (200, "image/webp")
        assert Image.open(BytesIO(await answer.read())).size == (160, 188)
    assert sum(name.endswith(".w160.webp") for name in objects(bucket)) == 1
    assert (await get(image, "/media/1/a?width=320"))[0] == 200


async def test_what_is_replaced_or_deleted_goes_with_the_collector(image, bucket, collect):
    await upload(image, BYTES)
    before = objects(bucket)
    other = drawn("PNG", (400, 400))
    await upload(image, other)
    assert (await get(image))[1] == other
    assert await collect() == 1
    assert len(objects(bucket)) == 2
    assert not {*objects(bucket)} & {*before}
    assert (await image.delete("/images/1")).status in {200, 204}
    assert (await get(image))[0] == 404
    assert await collect() == 1
    assert bucket.names() == ["store.json"]


async def test_a_duplicate_is_known_by_its_bytes(client, bucket):
    assert (await create(client, BYTES)).status == 201
    assert (await create(client, BYTES, on_duplicate="reject")).status == 409
    assert len(objects(bucket)) == 2


async def test_two_services_share_a_bucket_and_another_start_finds_all(serve, settings, tmp_path, bucket):
    one = await serve(uploads_dir=tmp_path / "one")
    two = await serve(uploads_dir=tmp_path / "two")
    await one.post("/images", json={"filename": "x"})
    assert await upload(one, BYTES) == 200
    assert await get(two) == (200, BYTES)
    assert await upload(two, BYTES[:-1] + b"\xd9", "b") == 200
    await one.close()
    again = await serve(uploads_dir=tmp_path / "three")
    assert (await get(again, "/media/1/b"))[0] == 200
    assert await get(again) == (200, BYTES)
    for folder in ("one", "two", "three"):
        assert list((tmp_path / folder / "incoming").iterdir()) == []


async def test_the_bucket_of_another_database_is_not_taken(settings, client, bucket):
    assert await create(client, BYTES)
    obstore.put(bucket.server.client(bucket.bucket), "some/where/store.json", b'{"store_id": "another"}')
    with pytest.raises(OtherStoreError, match="bucket"):
        await TestServer(create_app(settings)).start_server()
    async with asyncio.timeout(10):
        while (await create(client, BYTES)).status != 503:  # a look at the marker holds for a second
            await asyncio.sleep(0.1)
    assert (await client.get("/readyz")).status == 503


async def test_a_bucket_that_was_deleted_damages_nothing(image, bucket):
    await upload(image, BYTES)
    assert (await image.get("/readyz")).status == 200
    bucket.server.delete(bucket.bucket)
    for asked in (image.get("/media/1/a"), image.head("/media/1/a"), image.get("/media/1/a?width=320")):
        assert (await asked).status == 503
    assert await upload(image, BYTES, "b") == 503
    assert (await image.get("/readyz")).status == 503
    assert (await image.get("/images")).status == 200


async def test_an_object_that_is_missing_in_a_bucket_that_is_there_is_damage(image, bucket):
    await upload(image, BYTES)
    obstore.delete(bucket.server.client(bucket.bucket), [f"some/where/{name}" for name in objects(bucket)])
    assert (await get(image))[0] == 500
    assert (await image.head("/media/1/a")).status == 500


async def test_it_is_ready_and_its_room_is_not_known(image):
    answer = await image.get("/readyz")
    assert await answer.json() == {"status": "ok"}
    async with asyncio.timeout(10):
        while "kt_images_store_free_bytes NaN" not in (text := await (await image.get("/metrics")).text()):
            await asyncio.sleep(0.1)
    assert "kt_images_store_size_bytes NaN" in text
    assert 'kt_images_up{what="store"} 1.0' in text


async def test_slow_readers_are_no_more_than_may_be_and_the_next_is_told_to_come_back(serve):
    client = await serve(max_downloads=3, max_upload_size=2**26)
    await client.post("/images", json={"filename": "x"})
    large = drawn("BMP", (2300, 2300))  # 16 MB: more than sockets take
    assert await upload(client, large) == 200
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(reader, ("127.0.0.1", client.port))
            await loop.sock_sendall(reader, b"GET /media/1/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await loop.sock_recv(reader, 20)).startswith(b"HTTP/1.1 200")
        answer = await client.get("/media/1/a")
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        assert "Too many files" in (await answer.json())["error"]
    async with asyncio.timeout(20):
        while (await get(client))[0] != 200:
            await asyncio.sleep(0.1)


def started(*arguments):
    command = [sys.executable, "-m", "kt_images", "--port", "0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_start_with_a_bucket_that_cannot_be_ends_with_a_sentence(dsn, bucket, tmp_path):
    flags = ["--postgres_dsn", dsn, "--uploads_dir", str(tmp_path), "--store_endpoint", bucket.server.endpoint]
    ended = started(*flags, "--store", "s3://kt-nobody-s-bucket")
    assert ended.returncode == 1
    assert "the bucket does not exist" in ended.stderr
    assert "Traceback" not in ended.stderr
