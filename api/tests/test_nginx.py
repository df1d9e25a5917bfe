"""The nginx of the compose file, with the very files that it is given there, in front of the service."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import zlib
from dataclasses import dataclass
from io import BytesIO

import aiohttp
import pytest
from yarl import URL

import services
from conftest import ROOT
from kt_images.base_settings import Settings
from kt_images.http.forms import ENVELOPE
from pictures import JPEG, drawn
from services import free_port, wait_until

FILES = ROOT / "api" / "deploy" / "nginx"
SITE = (FILES / "kt-images.conf").read_text()

# Debian's is not on everybody's PATH.
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")
SILENT = 300
HEAD_SECONDS = 8
WAIT = 30


@dataclass
class Web:
    """nginx, the service behind it, and the port that speaks TLS."""

    port: int
    tls_port: int
    service: services.Service

    async def raw(self, head):
        """Send bytes; return the status line, the headers, the body, and whether the connection ends with it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.closing(writer):
            writer.write(head)
            async with asyncio.timeout(WAIT):
                status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
                named = dict(header.lower().split(": ", 1) for header in headers)
                body = await reader.readexactly(int(named.get("content-length", 0)))
                return int(status.split()[1]), named, body, named.get("connection") == "close" and await ended(reader)


async def ended(reader):
    """Wait until nothing more comes; it is a reset if the client owes a body."""
    with contextlib.suppress(ConnectionResetError):
        assert not await reader.read()
    return True


def written(text, *changes):
    """Return a configuration with each change made, which must be of something that is there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def certificate(folder):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def web(server_dsn, folder):
    if not NGINX:
        pytest.skip("nginx cannot be found; apt-get install nginx-light, or the like, brings it")
    settings = {"KT_IMAGES_ACCEL_LOCATION": "/_objects/", "KT_IMAGES_MAX_UPLOAD_SIZE": ""}
    with (
        services.running(server_dsn, folder, "behind_nginx", **settings) as service,
        running_nginx(folder / "nginx", service, free_port()) as made,
    ):
        yield made


@contextlib.contextmanager
def running_nginx(home, service, port, bucket=()):
    """Run nginx in front of the service; with the changes that bucket.conf needs, it fetches from a bucket."""
    home.mkdir()
    certificate(home)
    made = Web(port, port + 1, service)
    process = (FILES / "nginx.conf").read_text()
    process = written(
        process, ("/tmp/", f"{home}/"), ("/dev/stdout", f"{home}/access.log"), ("16384", "2048"), ("8192", "1024")
    )
    if os.getuid() == 0:
        process = f"user root;\n{process}"  # as the owner of the test's files
    site = written(
        SITE,
        ("listen 8080 backlog=4096", f"listen 127.0.0.1:{made.port}"),
        ("# listen 8443", f"listen 127.0.0.1:{made.tls_port}"),
        ("# ssl_certificate", "ssl_certificate"),
        ("/tls/", f"{home}/"),
        ("# location /pics/", "location /pics/"),
        ("api:8080", f"127.0.0.1:{service.port}"),
        ("/var/cache/nginx/", f"{home}/cache-"),
        ("/data/images/objects/", f"{service.folder}/images/objects/"),
        *([("# include bucket.conf", "include bucket.conf")] if bucket else []),
    )
    (home / "nginx.conf").write_text(process)
    (home / "kt-images.conf").write_text(site)
    (home / "bucket.conf").write_text(written((FILES / "bucket.conf").read_text(), *bucket))
    with (home / "errors.log").open("wb") as log:
        running = subprocess.Popen([NGINX, "-c", home / "nginx.conf", "-e", "stderr"], stderr=log)
    try:
        wait_until(lambda: listens(made.port) or running.poll() is not None)
        assert running.poll() is None, (home / "errors.log").read_text()
        yield made
    finally:
        running.terminate()
        running.wait()


def listens(port):
    with contextlib.suppress(OSError), contextlib.closing(services.socket.create_connection(("127.0.0.1", port))):
        return True
    return False


@pytest.fixture
async def client(web):
    """A client of nginx; the service has no images."""
    web.service.empty()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{web.port}", auto_decompress=False) as session:
        yield session


async def stored(client, content, name="a"):
    """Store a picture; return the address of its file."""
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(content), filename=name)
    async with client.post("/images/upload", data=form) as answer:
        assert answer.status == 201, await answer.text()
        image = await answer.json()
    async with client.get(f"/images/{image['image_id']}/attachments") as answer:
        return (await answer.json())[0]["url"]


async def read(client, url, method="GET", **options):
    async with client.request(method, url, allow_redirects=False, **options) as answer:
        return answer.status, answer.headers, await answer.read()


def test_its_limits_are_those_of_the_service():
    megabytes = int(re.search(r"client_max_body_size (\d+)m", SITE)[1])
    assert megabytes * 2**20 == Settings().max_upload_size + ENVELOPE
    assert int(re.search(r"client_body_timeout (\d+)s", SITE)[1]) > Settings().body_timeout


@pytest.mark.parametrize("size", [(620, 625), (1500, 1500)], ids=["1.16 MB", "6.75 MB"])
async def test_an_upload_arrives_whole_and_comes_back(client, size):
    picture = drawn("BMP", size)
    assert len(picture) > 1_160_000
    status, headers, body = await read(client, await stored(client, picture))
    assert (status, headers["Content-Type"], body) == (200, "image/bmp", picture)


async def test_an_upload_that_is_too_large_is_refused_before_its_first_byte(web):
    size = 257 * 2**20 + 1
    head = f"POST /images/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {size}\r\n\r\n"
    status, headers, body, ends = await web.raw(head.encode())
    assert (status, headers["content-type"], ends) == (413, "application/json", True)
    assert "KT_IMAGES_MAX_UPLOAD_SIZE" in json.loads(body)["error"]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_import_is_answered_while_it_is_still_being_sent(client, encoding):
    """The answer waits for the body's end if anything on the way keeps either."""
    told = asyncio.Event()

    async def lines():
        yield b'{"filename": "a"}\n'
        async with asyncio.timeout(WAIT):
            await told.wait()
        yield b'{"filename": "b"}\n'

    headers = {"Content-Type": "application/x-ndjson", "Accept-Encoding": encoding}
    async with client.post("/images", data=lines(), headers=headers) as answer:
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        unpacked, unpack = b"", zlib.decompressobj(31) if encoding == "gzip" else None
        async for piece in answer.content.iter_any():
            unpacked += unpack.decompress(piece) if unpack else piece
            if b"\n" in unpacked:
                told.set()
    assert json.loads(unpacked.splitlines()[-1]) == {"totalLines": 2, "totalImages": 2, "totalErrors": 0}


async def test_a_list_is_compressed_for_whoever_wants_that(client, web):
    web.service.sql("insert into images (filename, tags) select 'a', '{x}' from generate_series(1, 5000)")
    _, headers, packed = await read(client, "/images", headers={"Accept-Encoding": "gzip"})
    _, plain, text = await read(client, "/images", headers={"Accept-Encoding": "identity"})
    assert (headers["Content-Encoding"], "Content-Encoding" in plain) == ("gzip", False)
    assert zlib.decompress(packed, 31) == text
    assert json.loads(text)[-1]["totalImages"] == 5000
    assert len(packed) < len(text) / 4


async def test_a_thumbnail_of_a_given_version_comes_from_the_cache(client, web):
    url = await stored(client, JPEG.read_bytes()) + "&width=160"
    first, second = await read(client, url), await read(client, url)
    assert (first[1]["X-Cache"], second[1]["X-Cache"]) == ("MISS", "HIT")
    assert first[2] == second[2]
    for name in (
        "ETag",
        "Repr-Digest",
        "Content-Type",
        "Cache-Control",
        "Content-Security-Policy",
        "X-Content-Type-Options",
    ):
        assert first[1][name] == second[1][name], name
    assert first[1]["X-Request-ID"] != second[1]["X-Request-ID"]
    assert (await read(client, url, "HEAD"))[1]["X-Cache"] == "HIT"
    # Another version or width is another picture, and a condition is for the service to judge.
    assert (await read(client, url.replace("width=160", "width=320")))[1]["X-Cache"] == "MISS"
    assert "X-Cache" not in (await read(client, "/media/1/a?width=160"))[1]
    status, headers, _ = await read(client, url, headers={"If-None-Match": second[1]["ETag"]})
    assert (status, "X-Cache" in headers) == (304, False)
    status, headers, body = await read(client, url, headers={"Range": "bytes=10-19"})
    assert (status, body) == (206, first[2][10:20])


async def test_an_answer_to_a_key_is_neither_kept_nor_given_from_the_cache(client):
    url, key = await stored(client, JPEG.read_bytes(), "b") + "&width=160", {"Authorization": "Bearer x"}
    for headers, cached in ((key, None), (key, None), ({}, "MISS"), (key, None), ({}, "HIT")):
        assert (await read(client, url, headers=headers))[1].get("X-Cache") == cached


async def test_nginx_sends_the_files_with_the_headers_of_the_service(client, web):
    url, content = await stored(client, JPEG.read_bytes()), JPEG.read_bytes()
    status, headers, body = await read(client, url)
    direct = f"http://127.0.0.1:{web.service.port}{url}"
    _, accelerated, _ = await read(client, direct)
    assert (status, body) == (200, content)
    assert "X-Accel-Redirect" in accelerated
    assert "X-Accel-Redirect" not in headers
    for name in (
        "ETag",
        "Repr-Digest",
        "Content-Type",
        "Cache-Control",
        "Content-Security-Policy",
        "X-Content-Type-Options",
    ):
        assert headers.getall(name) == accelerated.getall(name), name
    assert headers.getall("Accept-Ranges") == ["bytes"]
    etag = headers["ETag"]
    for asked, status, part in (
        ({"Range": "bytes=0-9"}, 206, content[:10]),
        ({"Range": "bytes=-5"}, 206, content[-5:]),
        ({"Range": "bytes=5-9", "If-Range": etag}, 206, content[5:10]),
        ({"Range": "bytes=5-9", "If-Range": '"x"'}, 200, content),
        ({"If-Match": etag}, 200, content),
        ({"If-None-Match": etag}, 304, b""),
        ({"If-None-Match": '"x"'}, 200, content),
    ):
        assert (await read(client, url, headers=asked))[::2] == (status, part), asked
    for asked, status in (({"Range": f"bytes={len(content)}-"}, 416), ({"If-Match": '"x"'}, 412)):
        answered, headers, body = await read(client, url, headers=asked)
        assert (answered, headers["Content-Type"].partition(";")[0], set(json.loads(body))) == (
            status,
            "application/json",
            {"error"},
        )
        assert headers.get("Content-Range") == (f"bytes */{len(content)}" if status == 416 else None)
    head = (await read(client, url, "HEAD"))[1]
    assert (head["Content-Length"], head["ETag"], "Last-Modified" in head) == (str(len(content)), etag, False)


async def test_the_store_is_nobody_s_to_look_into(client, web):
    url = await stored(client, JPEG.read_bytes())
    _, headers, _ = await read(client, f"http://127.0.0.1:{web.service.port}{url}")
    place = headers["X-Accel-Redirect"]
    for asked in (place, "/_objects/", "/_objects/../_objects/x", "/_error", "/metrics", "//metrics", "/%6detrics"):
        status, headers, body = await read(client, f"http://127.0.0.1:{web.port}{asked}")
        assert (status, headers["Content-Type"]) == (404, "application/json"), asked
        assert set(json.loads(body)) == {"error"}
    (file,) = (web.service.folder / "images" / "objects").rglob(place.rpartition("/")[2])
    file.rename(file.with_suffix(".kept"))
    file.symlink_to("/etc/passwd")
    status, headers, body = await read(client, url)
    assert (status, headers["Content-Type"]) == (500, "application/json")
    assert set(json.loads(body)) == {"error"}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 400),
        (f"GET /{'x' * 9000} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: a\r\nX-Y: {'x' * 9000}\r\n\r\n", 400),
        ("GET /images/%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("rubbish\r\n\r\n", 400),
        ("GET / HTTP/3.1\r\nHost: a\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ],
)
async def test_what_is_no_request_is_refused_as_the_service_does(web, head, status):
    answered, headers, body, ends = await web.raw(head.encode())
    assert (answered, headers["content-type"], headers["server"]) == (status, "application/json", "nginx")
    assert set(json.loads(body)) == {"error"}
    assert ends or status == 405
    assert (status == 405) == ("allow" in headers)


async def test_the_service_s_own_refusals_pass_unchanged(client, web):
    for path in ("/images/x%2Fy", "/images/1", "/nothing", "/images?tga=x", "/media/1/..%2f..%2fetc"):
        there = await read(client, f"http://127.0.0.1:{web.service.port}{path}")
        here = await read(client, f"http://127.0.0.1:{web.port}{path}")
        assert (here[0], here[2]) == (there[0], there[2])
    assert (await read(client, "/images/1", "PUT"))[1]["Allow"] == (
        await read(client, f"http://127.0.0.1:{web.service.port}/images/1", "PUT")
    )[1]["Allow"]


async def test_silent_sockets_are_closed_while_others_are_served(client, web):
    async def silent(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            writer.write([b"", b"GET ", b"GET / HTTP/1.1\r\nHost: a\r\nX-"][number % 3])
            async with asyncio.timeout(HEAD_SECONDS + WAIT):
                assert not await reader.read()
        return asyncio.get_running_loop().time()

    opened = [asyncio.create_task(silent(number)) for number in range(SILENT)]
    while not all(one.done() for one in opened):
        assert (await read(client, "/images"))[0] == 200
        await asyncio.sleep(0.2)
    await asyncio.gather(*opened)


async def test_a_service_that_is_gone_is_a_sentence_and_a_time_to_come_back(client, web):
    web.service.end()
    try:
        status, headers, body = await read(client, "/images")
        assert (status, headers["Content-Type"], headers["Retry-After"]) == (502, "application/json", "1")
        assert "try again" in json.loads(body)["error"]
    finally:
        web.service.start()
    assert (await read(client, "/images"))[0] == 200


async def test_a_request_id_is_kept_if_it_is_sane(client):
    assert (await read(client, "/images", headers={"X-Request-ID": "abc-1"}))[1].getall("X-Request-ID") == ["abc-1"]
    for bad in ("a b", "x" * 65, '"', "é"):
        (made,) = (await read(client, "/images", headers={"X-Request-ID": bad}))[1].getall("X-Request-ID")
        assert re.fullmatch("[0-9a-f]{32}", made)


async def test_it_speaks_tls_by_two_lines(client, web):
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    assert (await read(client, f"https://127.0.0.1:{web.tls_port}/images", ssl=trusting))[0] == 200
    assert (await read(client, f"http://127.0.0.1:{web.tls_port}/images"))[0] == 400  # not by itself


async def test_names_reach_the_service_below_a_path_as_they_are(client, web):
    url = await stored(client, JPEG.read_bytes(), "ä %20#?;+.jpg")
    digest = hashlib.sha256(JPEG.read_bytes()).hexdigest()
    for prefix in ("", "/pics"):
        address = URL(f"http://127.0.0.1:{web.port}{prefix}{url}", encoded=True)
        status, _, body = await read(client, address)
        assert (status, hashlib.sha256(body).hexdigest()) == (200, digest)
    lists = [(await read(client, f"{prefix}/images?tag=x"))[2] for prefix in ("", "/pics")]
    assert len({zlib.decompress(body, wbits=31) for body in lists}) == 1  # gzip, in pieces as they came
    assert (await read(client, "/pics/metrics"))[0] == 404
