"""Smaller pictures, and what is said with the bytes."""

import asyncio
import hashlib
import os
import socket
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from PIL import ExifTags, Image

from kt_images import metrics
from kt_images.errors import DiskFullError
from kt_images.files.decoders import Decoders
from kt_images.files.disk import Disk
from kt_images.views import app_keys
from pictures import JPEG, ROTATED, drawn


async def upload(client, content, name="a"):
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(content), filename="x")
    answer = await client.post(f"/images/1/attachment/{name}", data=form)
    assert answer.status == 200, await answer.text()


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "example.jpg"})
    return client


async def small(client, width, name="a"):
    answer = await client.get(f"/media/1/{name}?width={width}")
    assert answer.status == 200, await answer.text()
    return answer, Image.open(BytesIO(await answer.read()))


def objects(settings):
    return sorted(name for _, _, names in os.walk(settings.uploads_dir / "objects") for name in names)


@pytest.mark.parametrize(("width", "height"), [(160, 188), (320, 375)])
async def test_a_smaller_picture_is_at_most_as_wide_as_asked(image, width, height):
    await upload(image, JPEG.read_bytes())
    answer, picture = await small(image, width)
    assert answer.content_type == "image/webp"
    assert (picture.format, picture.size) == ("WEBP", (width, height))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("size", [(160, 10), (159, 1000), (1, 1)])
async def test_one_that_is_not_wider_than_asked_is_answered_as_it_is(image, settings, size):
    content = drawn("PNG", size)
    await upload(image, content)
    answer = await image.get("/media/1/a?width=160")
    assert (answer.content_type, await answer.read()) == ("image/png", content)
    assert len(objects(settings)) == 1


@pytest.mark.parametrize("width", ["161", "0", "-160", "x", "", "160.0", "%00", "9" * 5000, "160&width=161", "0160"])
async def test_another_width_is_refused_with_those_that_there_are(image, width):
    await upload(image, JPEG.read_bytes())
    answer = await image.get(f"/media/1/a?width={width}")
    if "&" not in width:
        assert answer.status == 400
        assert "160, 320, 640, 1280" in (await answer.json())["error"]


async def test_the_widths_are_a_setting(serve):
    client = await serve(thumbnail_widths=(100,))
    await client.post("/images", json={"filename": "example.jpg"})
    await upload(client, JPEG.read_bytes())
    assert (await small(client, 100))[1].width == 100
    assert (await client.get("/media/1/a?width=160")).status == 400


async def test_it_is_made_once_and_kept_beside_the_original(image, settings, monkeypatch):
    made = []
    shrink = Decoders.shrink
    monkeypatch.setattr(Decoders, "shrink", lambda *a: made.append(a) or shrink(*a))
    await upload(image, JPEG.read_bytes())
    answers = await asyncio.gather(*(small(image, 160) for _ in range(5)))
    assert len({answer.headers["ETag"] for answer, _ in answers}) == 1
    await small(image, 160)
    assert len(made) == 1
    original, *beside = objects(settings)
    assert beside == [f"{original}.w160.webp", f"{original}.w320.webp"]
    assert list((settings.uploads_dir / "incoming").iterdir()) == []


async def test_a_thumbnail_is_there_when_the_upload_is_acknowledged(image, settings, monkeypatch):
    async def fail(*_):
        raise AssertionError("it was made again")

    monkeypatch.setattr(Decoders, "shrink", fail)
    await upload(image, JPEG.read_bytes())
    original, beside = objects(settings)
    assert beside == f"{original}.w320.webp"
    assert (await small(image, 320))[1].size == (320, 375)
    await upload(image, drawn("PNG", (1000, 500)))  # in its place
    assert (await small(image, 320))[1].size == (320, 160)
    made = await image.post("/images/upload", data={"image": BytesIO(JPEG.read_bytes())})
    assert made.status == 201
    (file,) = await (await image.get("/images/2/attachments")).json()
    assert (await image.get(f"{file['url']}&width=320")).content_type == "image/webp"


@pytest.mark.parametrize("size", [(320, 1000), (100, 100)])
async def test_no_thumbnail_is_made_of_a_picture_that_is_not_wider(image, settings, size):
    await upload(image, drawn("PNG", size))
    assert len(objects(settings)) == 1
    turned = drawn("JPEG", (1000, 300), exif=ROTATED)  # upright it is 300 wide
    await upload(image, turned, "b")
    assert len(objects(settings)) == 2


async def test_no_thumbnail_is_made_at_the_upload_where_none_is_wanted(serve, settings):
    client = await serve(eager_widths=())
    await client.post("/images", json={"filename": "example.jpg"})
    await upload(client, JPEG.read_bytes())
    assert len(objects(settings)) == 1
    assert (await small(client, 320))[1].width == 320


async def test_a_thumbnail_that_cannot_be_kept_is_made_later(image, settings, monkeypatch):
    keep = Disk.keep

    async def full(self, received, key, content_type):
        if key.endswith(".webp"):
            raise DiskFullError
        await keep(self, received, key, content_type)

    with monkeypatch.context() as outage:
        outage.setattr(Disk, "keep", full)
        await upload(image, JPEG.read_bytes())
        assert len(objects(settings)) == 1
        assert list((settings.uploads_dir / "incoming").iterdir()) == []
    assert (await small(image, 320))[1].width == 320
    assert len(objects(settings)) == 2


async def test_who_leaves_while_it_is_made_takes_it_from_nobody(image):
    await upload(image, JPEG.read_bytes())
    first = asyncio.create_task(image.get("/media/1/a?width=160"))
    second = asyncio.create_task(small(image, 160))
    await asyncio.sleep(0.005)
    first.cancel()
    assert (await second)[1].width == 160


async def test_it_knows_nothing_of_where_it_was_taken(image):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 0.0)
    await upload(image, drawn("JPEG", (400, 300), exif=exif, xmp=b"<x:xmpmeta>52.5</x:xmpmeta>", comment=b"at home"))
    answer, picture = await small(image, 160)
    assert not picture.getexif()
    assert set(picture.info) <= {"loop", "background", "timestamp", "duration"}
    assert b"EXIF" not in await answer.read()


async def test_it_stands_upright(image):
    original = Image.new("RGB", (400, 300), "blue")
    original.paste("red", (0, 0, 400, 100))  # the top, which is the right once it is turned
    file = BytesIO()
    original.save(file, "JPEG", exif=ROTATED)
    await upload(image, file.getvalue())
    _, picture = await small(image, 160)
    assert picture.size == (160, 213)
    red, _, blue = picture.convert("RGB").getpixel((150, 100))
    assert red > 200 > blue
    assert await (await image.get("/media/1/a?width=320")).read() == file.getvalue()  # upright it is 300 wide


def picture_with_transparency():
    file = BytesIO()
    original = Image.new("RGBA", (400, 300), (255, 0, 0, 0))
    original.save(file, "PNG")
    return file.getvalue()


def sixteen_bit():
    file = BytesIO()
    eight = Image.radial_gradient("L").resize((400, 300)).convert("I")
    eight.point(lambda value: value * 257).convert("I;16").save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        drawn("PNG", (400, 300), mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    ] + [drawn("TIFF", (400, 300), mode) for mode in ("F", "I", "CMYK", "LAB", "YCbCr", "RGBX")]
    + [sixteen_bit(), drawn("JPEG", (400, 300), "CMYK"), drawn("GIF", (400, 300)), drawn("AVIF", (400, 300)), drawn("WEBP", (400, 300)),
       drawn("BMP", (400, 300)), drawn("GIF", (400, 300), save_all=True, append_images=[Image.new("RGB", (400, 300))])],
)  # fmt: skip
async def test_pictures_of_every_kind_get_smaller_and_look_the_same(image, content):
    await upload(image, content)
    _, picture = await small(image, 160)
    assert picture.size == (160, 120)
    gray = picture.convert("RGB").convert("L")
    center, corner = gray.getpixel((80, 60)), gray.getpixel((0, 0))
    assert center < 90, center
    assert corner > 160, corner


async def test_what_is_transparent_stays_transparent(image):
    await upload(image, picture_with_transparency())
    _, picture = await small(image, 160)
    assert picture.convert("RGBA").getpixel((5, 5))[3] == 0


async def test_a_very_tall_picture_gets_as_small_as_the_format_can_hold(image):
    await upload(image, drawn("PNG", (400, 50_000), "1"))
    assert (await small(image, 320))[1].height <= 16383


async def test_it_has_an_etag_ranges_and_a_digest_of_its_own(image):
    await upload(image, JPEG.read_bytes())
    answer, _ = await small(image, 160)
    content = await answer.read()
    etag = answer.headers["ETag"]
    assert etag == f'"{hashlib.sha256(content).hexdigest()}"' != (await image.head("/media/1/a")).headers["ETag"]
    assert (await image.get("/media/1/a?width=160", headers={"If-None-Match": etag})).status == 304
    part = await image.get("/media/1/a?width=160", headers={"Range": "bytes=0-3", "If-Range": etag})
    assert (part.status, await part.read()) == (206, b"RIFF")
    head = await image.head("/media/1/a?width=160")
    assert (head.status, head.content_length, head.headers["ETag"]) == (200, len(content), etag)


async def test_a_new_file_has_new_smaller_pictures(image):
    await upload(image, JPEG.read_bytes())
    before, _ = await small(image, 160)
    await upload(image, drawn("PNG", (400, 300)))
    after, picture = await small(image, 160)
    assert picture.size == (160, 120)
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_none_of_an_original_that_is_damaged_or_not_there(image, settings):
    await upload(image, JPEG.read_bytes())
    assert (await image.get("/media/1/b?width=160")).status == 404
    (original,) = (settings.uploads_dir / "objects").rglob("*.jpg")
    original.write_bytes(b"x" * original.stat().st_size)
    assert (await image.get("/media/1/a?width=160")).status == 500
    original.unlink()
    assert (await image.get("/media/1/a?width=160")).status == 500
    assert objects(settings) == [f"{original.name}.w320.webp"]


async def test_what_is_planted_in_its_place_is_not_served(image, settings):
    await upload(image, JPEG.read_bytes())
    (original,) = (settings.uploads_dir / "objects").rglob("*.jpg")
    original.with_name(original.name + ".w160.webp").symlink_to("/etc/passwd")
    assert (await small(image, 160))[1].format == "WEBP"


async def test_the_proxy_in_front_gets_the_bytes_to_send_but_not_the_conditions_to_look_at(serve):
    client = await serve(accel_location="/_objects/")
    await client.post("/images", json={"filename": "example.jpg"})
    await upload(client, JPEG.read_bytes())
    async with client.session.get(client.make_url("/media/1/a")) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["X-Accel-Redirect"].startswith("/_objects/001/1-")
        assert answer.headers["Content-Type"] == "image/jpeg"
        etag = answer.headers["ETag"]
    for headers, status in (({"If-None-Match": etag}, 304), ({"If-Match": '"x"'}, 412), ({"If-Match": etag}, 200)):
        answer = await client.get("/media/1/a", headers=headers)
        assert (answer.status, answer.headers.get("X-Accel-Redirect")) == (status, None)


async def test_every_answer_keeps_browsers_from_running_it(image):
    await upload(image, JPEG.read_bytes())
    etag = (await image.head("/media/1/a")).headers["ETag"]
    for method, url, headers, status in (
        ("HEAD", "a", {}, 200), ("GET", "a", {"If-None-Match": etag}, 304), ("GET", "b", {}, 404), ("GET", "a", {"Range": "bytes=0-0"}, 206),
        ("GET", "a", {"Range": "bytes=999999-"}, 416), ("GET", "a", {"If-Match": '"x"'}, 412), ("GET", "a?width=7", {}, 400),
        ("GET", "%2e%2e%2fa", {}, 400), ("PUT", "a", {}, 405),
    ):  # fmt: skip
        answer = await image.request(method, f"/media/1/{url}", headers=headers)
        assert answer.status == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


async def test_a_picture_that_takes_its_time_holds_up_nobody(image):
    content = drawn("PNG", (9000, 9000), "L")
    uploading = [asyncio.create_task(upload(image, content, name)) for name in ("a", "b", "c")]
    longest, answers, loop = 0.0, 0, asyncio.get_running_loop()
    while not all(task.done() for task in uploading):
        started = loop.time()
        assert (await image.get("/images/1")).status == 200
        longest, answers = max(longest, loop.time() - started), answers + 1
    assert answers > 10
    assert longest < 0.5
    await asyncio.gather(*uploading)


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "Forwarded"])
async def test_what_a_request_says_of_its_host_leads_nowhere_else(image, header):
    await upload(image, JPEG.read_bytes())
    answer = await image.get("/images/1/attachment/a", headers={header: "evil"}, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/media/1/a")


async def test_a_compressed_twin_is_never_served_instead(image, settings):
    await upload(image, JPEG.read_bytes())
    (original,) = (settings.uploads_dir / "objects").rglob("*.jpg")
    original.with_name(original.name + ".gz").write_bytes(b"other")
    answer = await image.get("/media/1/a", headers={"Accept-Encoding": "gzip"})
    assert await answer.read() == JPEG.read_bytes()


async def test_a_reader_that_does_not_read_is_left(serve):
    client = await serve(send_timeout=0.3)
    await client.post("/images", json={"filename": "example.jpg"})
    await upload(client, noise())
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
    writer.write(b"GET /media/1/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(20):
        while metrics.IN_FLIGHT._value.get():
            await asyncio.sleep(0.05)
    received = 0
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        while True:
            received += len(await reader.readexactly(1024))
    assert received < len(noise())
    writer.close()


def noise():
    file = BytesIO()
    Image.new("L", (5000, 5000)).save(file, "BMP")
    return file.getvalue()


async def test_a_large_file_goes_out_whole_also_to_a_slow_client_and_leaves_the_connection_usable(client):
    picture = drawn("BMP", (1500, 1500))
    await client.post("/images", json={"filename": "a"})
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(picture), filename="a")
    await client.post("/images/1/attachment/a", data=form)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=2**16)
    for _ in range(2):
        writer.write(b"GET /media/1/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        assert await reader.readexactly(len(picture)) == picture
    writer.write(b"GET /media/1/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    descriptors = len(list(Path("/dev/fd").iterdir()))
    writer.transport.abort()
    async with asyncio.timeout(5):
        while len(list(Path("/dev/fd").iterdir())) >= descriptors:
            await asyncio.sleep(0.02)


async def test_a_url_with_the_hash_gives_these_bytes_for_ever(image):
    await upload(image, JPEG.read_bytes())
    url = (await (await image.get("/images/1/attachments")).json())[0]["url"]
    assert url == f"/media/1/a?sha256={hashlib.sha256(JPEG.read_bytes()).hexdigest()}"
    for method, headers, status in (
        ("GET", {}, 200), ("HEAD", {}, 200), ("GET", {"Range": "bytes=0-9"}, 206), ("GET", {"If-None-Match": "*"}, 304)
    ):  # fmt: skip
        answer = await image.request(method, url, headers=headers)
        assert answer.status == status
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (await image.get(url + "&width=160")).headers["Cache-Control"].endswith("immutable")
    assert (await image.get("/media/1/a")).headers["Cache-Control"] == "no-cache"


async def test_no_other_version_is_given_under_it(image):
    await upload(image, JPEG.read_bytes())
    url = (await (await image.get("/images/1/attachments")).json())[0]["url"]
    await upload(image, drawn("PNG"))
    for asked in (url, url + "&width=160", "/media/1/a?sha256=" + "0" * 64):
        answer = await image.get(asked)
        assert answer.status == 404
        assert "Cache-Control" not in answer.headers
        assert "/images/{image_id}/attachments" in (await answer.json())["error"]
    await upload(image, JPEG.read_bytes())
    assert (await image.get(url)).status == 200
    assert (await image.get(url.upper().replace("/MEDIA", "/media").replace("/A?SHA", "/a?sha"))).status == 200


@pytest.mark.parametrize("sha256", ["", "x", "0" * 63, "0" * 65, "%00", "0" * 64 + "&sha256=" + "1" * 64])
async def test_a_hash_that_is_none_is_refused(image, sha256):
    await upload(image, JPEG.read_bytes())
    assert (await image.get(f"/media/1/a?sha256={sha256}")).status == 400


async def test_slow_readers_of_small_files_take_little_memory(serve):
    """Beyond its room the service holds open files for them instead of bytes."""
    client = await serve(send_timeout=30)
    await client.post("/images", json={"filename": "example.jpg"})
    picture = drawn("BMP", (570, 570))
    await upload(client, picture)
    for listening in next(iter(client.server.runner.sites))._server.sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    room = client.app[app_keys.ROOM]
    most, least, slow = room.free, room.free, []
    for _ in range(most // len(picture) + 20):
        with_small_buffer = socket.socket()
        with_small_buffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        with_small_buffer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(with_small_buffer, ("127.0.0.1", client.port))
        reader, writer = await asyncio.open_connection(sock=with_small_buffer, limit=1024)
        writer.write(b"GET /media/1/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readexactly(10)
        least = min(least, room.free)
        slow.append(writer)
    assert 0 <= least < 2 * len(picture)
    assert await (await client.get("/media/1/a")).read() == picture
    for writer in slow:
        writer.transport.abort()
    async with asyncio.timeout(5):
        while room.free < most:
            await asyncio.sleep(0.02)
