"""nginx in front of a service whose files are in a bucket: nginx fetches them by signed addresses."""

import json
import urllib.parse
from io import BytesIO

import aiohttp
import pytest

import buckets
import services
from pictures import JPEG
from services import free_port
from test_nginx import NGINX, read, running_nginx

BYTES = JPEG.read_bytes()
HEADERS = (
    "ETag",
    "Repr-Digest",
    "Content-Type",
    "Cache-Control",
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "Cross-Origin-Resource-Policy",
    "X-Frame-Options",
)
OURS = {name.lower() for name in HEADERS} | {
    "content-length",
    "accept-ranges",
    "x-request-id",
    "date",
    "server",
    "connection",
}


@pytest.fixture(scope="module")
def line(bucket_server):
    with buckets.proxy(bucket_server.endpoint) as made:
        yield made


@pytest.fixture(scope="module")
def web(server_dsn, folder, bucket_server, line):
    if not NGINX:
        pytest.skip("nginx cannot be found; apt-get install nginx-light, or the like, brings it")
    made = buckets.Buckets(bucket_server)
    bucket_server.make(made.bucket)
    settings = {f"KT_IMAGES_{name.upper()}": value for name, value in made.settings.items()}
    # Signed is the name by which nginx asks.
    settings |= buckets.CREDENTIALS | {
        "KT_IMAGES_ACCEL_LOCATION": "/_bucket/",
        "KT_IMAGES_STORE_ENDPOINT": line.endpoint,
    }
    home = folder / "nginx-bucket"
    with services.running(server_dsn, folder, "bucket_behind_nginx", **settings) as service:
        changes = (
            ("https://s3.example.org/;", f"{line.endpoint}/;"),
            ("Host s3.example.org", f"Host {line.endpoint.partition('://')[2]}"),
        )
        with running_nginx(home, service, free_port(), bucket=changes) as nginx:
            yield nginx


@pytest.fixture
async def client(web, line):
    line.is_mute, line.seen[:] = False, []
    web.service.empty()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{web.port}", auto_decompress=False) as session:
        yield session


@pytest.fixture
async def url(client):
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(BYTES), filename="a b.jpg")
    async with client.post("/images/upload", data=form) as answer:
        assert answer.status == 201, await answer.text()
        image = await answer.json()
    async with client.get(f"/images/{image['image_id']}/attachments") as answer:
        return (await answer.json())[0]["url"]


async def test_nginx_fetches_the_file_and_gives_it_the_headers_of_the_service(client, web, url, line):
    accelerated = (await read(client, f"http://127.0.0.1:{web.service.port}{url}"))[1]
    assert urllib.parse.urlsplit(accelerated["X-Accel-Redirect"]).path.startswith("/_bucket/kt-")
    line.seen.clear()
    status, headers, body = await read(client, url)
    assert (status, body) == (200, BYTES)
    assert [one.split()[0] for one in line.seen] == [b"GET"]
    for name in HEADERS:
        assert headers.getall(name) == accelerated.getall(name), name
    assert headers.getall("Accept-Ranges") == ["bytes"]
    assert {name.lower() for name in headers} <= OURS


async def test_conditions_and_ranges_are_the_service_s_to_judge(client, url, line):
    etag = (await read(client, url))[1]["ETag"]
    line.seen.clear()
    for asked, status, part, fetches in (
        ({"Range": "bytes=0-9"}, 206, BYTES[:10], 1),
        ({"Range": "bytes=-5"}, 206, BYTES[-5:], 1),
        ({"Range": "bytes=5-9", "If-Range": etag}, 206, BYTES[5:10], 1),
        ({"Range": "bytes=5-9", "If-Range": '"x"'}, 200, BYTES, 1),
        ({"Range": "bytes=0-1,5-9"}, 200, BYTES, 1),
        ({"If-Match": etag}, 200, BYTES, 1),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200, BYTES, 1),
        ({"If-None-Match": '"x"'}, 200, BYTES, 1),
        ({"If-None-Match": etag}, 304, b"", 0),
    ):
        line.seen.clear()
        status_found, headers, body = await read(client, url, headers=asked)
        assert (status_found, body, len(line.seen)) == (status, part, fetches), asked
        assert headers.getall("ETag") == [etag]
        if status == 206:
            start = BYTES.find(part)
            assert headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{len(BYTES)}"
    for asked, status in (({"If-Match": '"x"'}, 412), ({"Range": f"bytes={len(BYTES)}-"}, 416)):
        found, headers, body = await read(client, url, headers=asked)
        assert found == status
        assert "error" in json.loads(body)


async def test_head_is_answered_as_get_without_the_bytes_and_without_fetching_them(client, url, line):
    whole = await read(client, url)
    line.seen.clear()
    head = await read(client, url, "HEAD")
    assert [one.split()[0] for one in line.seen] == [b"HEAD"]
    assert head[0] == 200
    assert head[2] == b""
    for name in (*HEADERS, "Content-Length"):
        assert head[1].getall(name) == whole[1].getall(name), name


async def test_nothing_of_the_client_reaches_the_bucket(client, url, line):
    line.heads.clear()
    secrets = {"Authorization": "Bearer kt_secret", "Cookie": "session=secret", "If-None-Match": '"other"'}
    assert (await read(client, url, headers=secrets))[0] == 200
    (head,) = [one for one in line.heads if b"X-Amz-Signature" in one]
    assert b"secret" not in head
    assert b"if-none-match" not in head.lower()


async def test_what_the_bucket_refuses_or_has_not_is_one_sentence_of_ours(client, web, url, line):
    for harm in ("missing", "refused"):
        if harm == "missing":
            web.service.sql("update attachments set object_key = replace(object_key, '-', '-0')")
        else:
            line.refuses = True
        status, headers, body = await read(client, url.partition("?")[0])
        line.refuses = False
        assert (status, headers["Content-Type"], headers["Retry-After"]) == (503, "application/json", "1"), harm
        assert json.loads(body) == {"error": "The store cannot be reached; please try again"}
        assert "ETag" not in headers
        assert "immutable" not in headers.get("Cache-Control", "")


async def test_the_bucket_is_nobody_s_to_look_into(client, web, url):
    place = (await read(client, f"http://127.0.0.1:{web.service.port}{url}"))[1]["X-Accel-Redirect"]
    for asked in (place, "/_bucket/", "/_bucket_error"):
        status, _, body = await read(client, f"http://127.0.0.1:{web.port}{asked}")
        assert status == 404, asked
        assert set(json.loads(body)) == {"error"}
