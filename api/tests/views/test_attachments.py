"""Files: upload, redirect, download, and what is no picture."""

import asyncio
import hashlib
import logging
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO

import aiohttp
import pytest
from yarl import URL

from pictures import JPEG, ROTATED, drawn
from stored import stored_files

PNG = drawn("PNG")


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "example.jpg"})
    return client


def form(content, field="image", filename="whatever.bin"):
    made = aiohttp.FormData()
    made.add_field(field, content, filename=filename)
    return made


async def upload(client, content, name="a.png", field="image"):
    answer = await client.post(f"/images/1/attachment/{name}", data=form(content, field))
    return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (drawn("JPEG"), "image/jpeg"), (drawn("JPEG", mode="CMYK"), "image/jpeg"), (PNG, "image/png"), (drawn("GIF"), "image/gif"),
        (drawn("PNG", mode="I;16"), "image/png"), (drawn("WEBP"), "image/webp"), (drawn("AVIF"), "image/avif"),
        (drawn("TIFF"), "image/tiff"), (drawn("BMP"), "image/bmp"), (JPEG.read_bytes(), "image/jpeg"),
    ],
)  # fmt: skip
async def test_a_picture_comes_back_byte_for_byte_with_the_type_found_in_it(image, content, content_type):
    assert await upload(image, content, "x") == (200, f"x sized of {len(content)} successfully stored")
    answer = await image.get("/images/1/attachment/x")
    assert (answer.status, answer.headers["Content-Type"], await answer.read()) == (200, content_type, content)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400), (b"nonsense", 415), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415), (b"<html></html>", 415),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", 415), (b"GIF89a", 415), (JPEG.read_bytes()[:-1000], 400),
        (PNG[: len(PNG) // 2], 400), (drawn("PNG", (1001, 1000), "L"), 413),
    ],
)  # fmt: skip
async def test_what_is_no_whole_picture_is_refused_and_leaves_nothing(serve, settings, content, status):
    client = await serve(max_pixels=1_000_000)
    await client.post("/images", json={"filename": "example.jpg"})
    assert (await upload(client, content))[0] == status
    assert (await client.get("/images/1/attachment/a.png")).status == 404
    assert stored_files(settings) == []


async def test_a_new_file_takes_the_place_of_one_of_the_same_name(image):
    await upload(image, PNG)
    await upload(image, JPEG.read_bytes())
    assert await (await image.get("/images/1/attachment/a.png")).read() == JPEG.read_bytes()


async def test_an_image_has_several_files(image):
    await upload(image, PNG, "a")
    await upload(image, JPEG.read_bytes(), "b")
    assert await (await image.get("/media/1/a")).read() == PNG
    assert await (await image.get("/media/1/b")).read() == JPEG.read_bytes()


async def test_the_files_of_an_image_are_listed_by_name_with_what_was_found_in_them(image):
    assert await (await image.get("/images/1/attachments")).json() == []
    before = datetime.now(UTC)
    for name, content in (("b ü.jpg", JPEG.read_bytes()), ("a", PNG), ("B", drawn("JPEG", exif=ROTATED))):
        await upload(image, content, name)
    files = await (await image.get("/images/1/attachments")).json()
    keys = ["filename", "content_type", "size", "sha256", "width", "height", "created_at", "url"]
    assert [list(file) for file in files] == [keys] * 3
    created = [datetime.fromisoformat(file.pop("created_at")) for file in files]
    assert all(before - timedelta(seconds=1) < when < datetime.now(UTC) + timedelta(seconds=1) for when in created)
    assert [(file["filename"], file["width"], file["height"]) for file in files] == [
        ("B", 30, 40), ("a", 40, 30), ("b ü.jpg", 512, 600)
    ]  # fmt: skip
    assert files[1] == {
        "filename": "a", "content_type": "image/png", "size": len(PNG), "sha256": hashlib.sha256(PNG).hexdigest(),
        "width": 40, "height": 30, "url": f"/media/1/a?sha256={hashlib.sha256(PNG).hexdigest()}",
    }  # fmt: skip
    for file in files:
        answer = await image.get(URL(file["url"], encoded=True))
        assert hashlib.sha256(await answer.read()).hexdigest() == file["sha256"]


async def test_an_image_that_is_not_there_has_no_list_of_files(image):
    answer = await image.get("/images/22/attachments")
    assert (answer.status, await answer.json()) == (404, {"error": "Image <22> is not found"})


@pytest.fixture
async def twins(image):
    """Three images; the first two have the PNG, the third another picture."""
    await upload(image, PNG, "b")
    await upload(image, PNG, "B")
    for content in (PNG, JPEG.read_bytes()):
        assert (await image.post("/images/upload", data=form(content, filename="a"))).status == 201
    return image


def digest(content):
    return hashlib.sha256(content).hexdigest()


async def with_bytes(client, *digests):
    answer = await client.get("/attachments", params=[("sha256", one) for one in digests])
    assert answer.status == 200, await answer.text()
    return [(file["image_id"], file["filename"]) for file in await answer.json()]


async def test_attachments_are_found_by_their_bytes(twins):
    assert await with_bytes(twins, digest(PNG)) == [(1, "B"), (1, "b"), (2, "a")]
    assert await with_bytes(twins, digest(PNG).upper()) == [(1, "B"), (1, "b"), (2, "a")]
    assert await with_bytes(twins, digest(PNG).upper(), digest(PNG)) == [(1, "B"), (1, "b"), (2, "a")]
    assert await with_bytes(twins, digest(JPEG.read_bytes()), digest(b""), digest(PNG)) == [
        (1, "B"), (1, "b"), (2, "a"), (3, "a")
    ]  # fmt: skip
    assert await with_bytes(twins, digest(b"")) == []


async def test_a_found_attachment_is_shown_as_among_those_of_its_image(twins):
    (found,) = await (await twins.get("/attachments", params={"sha256": digest(JPEG.read_bytes())})).json()
    assert found.pop("image_id") == 3
    assert await (await twins.get("/images/3/attachments")).json() == [found]


async def test_the_bytes_of_a_hundred_files_can_be_asked_for_at_once(twins):
    others = [digest(f"{n}".encode()) for n in range(99)]
    assert await with_bytes(twins, *others, digest(JPEG.read_bytes())) == [(3, "a")]


async def test_of_attachments_with_the_same_bytes_the_first_hundred_are_given(twins, pool):
    await pool.query("insert into images (filename) select 'x' from generate_series(1, 150)")
    await pool.query("""
        insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height)
        select images.image_id, 'x', 'key ' || images.image_id, content_type, size, sha256, width, height
        from images, (select * from attachments where image_id = 2) as twin where images.image_id > 3
    """)
    found = await with_bytes(twins, digest(JPEG.read_bytes()), digest(PNG))
    assert len(found) == 101
    assert found[:4] == [(1, "B"), (1, "b"), (2, "a"), (3, "a")]
    assert found[-1] == (100, "x")


@pytest.mark.parametrize(
    "query",
    [
        "", "?", "?sha256=", "?sha256=x", f"?sha256={'0' * 63}", f"?sha256={'0' * 65}", f"?sha256={'g' * 64}",
        f"?sha256={'0' * 64}%20", f"?sha256={'0' * 64}&sha256=x", "?" + "&".join([f"sha256={'0' * 64}"] * 101),
        f"?sha={'0' * 64}", f"?sha256={'%D9%A0' * 64}",
    ],
)  # fmt: skip
async def test_what_is_no_list_of_sha256_is_refused(client, query):
    answer = await client.get(f"/attachments{query}")
    assert answer.status == 400
    assert "sha256" in (await answer.json())["error"]


async def test_a_deleted_file_is_gone_and_cannot_be_deleted_again(image):
    await upload(image, PNG, "a")
    await upload(image, PNG, "b")
    assert (await image.delete("/images/1/attachment/a")).status == 204
    for method, url in (("DELETE", "/images/1/attachment/a"), ("GET", "/images/1/attachment/a"), ("GET", "/media/1/a")):
        assert (await image.request(method, url)).status == 404
    assert (await image.delete("/images/22/attachment/a")).status == 404
    assert [file["filename"] for file in await (await image.get("/images/1/attachments")).json()] == ["b"]


@pytest.mark.parametrize(
    "name", ["a b.png", "%22.png", "ü.png", "%E2%80%AEgnp.exe", "%3Fa%23b", "%25", "📷", "a%26b;c=d", "a%7Bb%7D.png"]
)
async def test_the_redirect_leads_to_the_file_whatever_its_name(image, name):
    url = image.make_url("/").join(URL("/images/1/attachment/" + name, encoded="%" in name))
    async with image.session.post(url, data=form(PNG)) as answer:
        assert answer.status == 200, await answer.text()
    async with image.session.get(url, allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"].startswith("/media/1/")
        assert answer.headers["Location"].isascii()
    async with image.session.get(url) as answer:
        assert await answer.read() == PNG


@pytest.mark.parametrize(
    "url", ["/images/22/attachment/a.png", "/images/1/attachment/b.png", "/media/1/b.png", "/media/22/a.png"]
)
async def test_what_is_not_stored_is_not_found(image, url):
    await upload(image, PNG)
    answer = await image.get(url)
    assert answer.status == 404
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_no_file_without_its_image(image):
    answer = await image.post("/images/22/attachment/a.png", data=form(PNG))
    assert (answer.status, await answer.json()) == (404, {"error": "Image <22> is not found"})


async def test_the_files_of_a_deleted_image_are_not_found_any_more(image):
    await upload(image, PNG)
    await image.delete("/images/1")
    assert (await image.get("/media/1/a.png")).status == 404
    assert (await image.get("/images/1/attachment/a.png")).status == 404


async def test_a_file_larger_than_the_limit_is_refused_and_leaves_nothing(serve, settings):
    client = await serve(max_upload_size=len(PNG))
    await client.post("/images", json={"filename": "example.jpg"})
    assert (await upload(client, PNG))[0] == 200
    assert (await upload(client, b"\0" * 2**20))[0] == 413

    async def undeclared():
        yield PART + PNG + b"\0\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await client.post("/images/1/attachment/b", data=undeclared(), headers=headers)
    assert answer.status == 413
    assert len(stored_files(settings)) == 1


PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", PART + PNG),
        ("multipart/form-data; boundary=b", PART + PNG + b"\r\n--b"),
        ("multipart/form-data; boundary=b", PART + PNG + b"\r\n--c--\r\n"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", PART.replace(b"image", b"file") + PNG + b"\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", PART + PNG + b"\r\n" + PART + PNG + b"\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n" + PNG + b"\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-\0Disposition: x\r\n\r\n" + PNG + b"\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n--c--\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            PART.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + b"\r\n--b--",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\n' + b"x" * 99,
        ),
        ("multipart/form-data", PART + PNG + b"\r\n--b--\r\n"),
        ("multipart/form-data; boundary=" + "b" * 71, b"--" + b"b" * 71),
        ("multipart/form-data; boundary=é", PART),
        ("image/png", PNG),
        ("application/x-www-form-urlencoded", b"image=x"),
    ],
)
async def test_a_body_that_is_no_whole_form_is_refused_and_leaves_nothing(image, settings, content_type, body):
    answer = await image.post("/images/1/attachment/a", data=body, headers={"Content-Type": content_type})
    assert answer.status in {400, 415}, await answer.text()
    assert (await image.get("/images/1/attachment/a")).status == 404
    assert stored_files(settings) == []


async def test_a_compressed_upload_is_refused(image):
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": "gzip"}
    answer = await image.post("/images/1/attachment/a", data=b"", headers=headers)
    assert answer.status == 415


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
async def test_a_client_that_leaves_in_the_middle_leaves_nothing(image, settings, share):
    body = PART + JPEG.read_bytes() + b"\r\n--b--\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", image.port)
    head = f"POST /images/1/attachment/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    writer.write(
        head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + body[: int(len(body) * share)]
    )
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if not stored_files(settings):
            break
    assert stored_files(settings) == []
    assert (await image.get("/images/1/attachment/a")).status == 404


@pytest.mark.parametrize(
    "name", ["%2e%2e%2fa", "..%5ca", "..", "%2e%2e", "a%2fb", "%00", "a%0d%0ab", "%ff", "x" * 256, "%7f", "%c3%28"]
)
async def test_a_name_that_is_no_plain_name_is_refused(image, name):
    for method, path in (("GET", "/media/1/"), ("GET", "/images/1/attachment/"), ("POST", "/images/1/attachment/")):
        url = str(image.make_url("/")) + path[1:] + name
        async with image.session.request(
            method, URL(url, encoded=True), data=form(PNG) if method == "POST" else None
        ) as answer:
            assert answer.status in {400, 404, 405}, await answer.text()
            assert "error" in await answer.json()


async def test_a_range_of_the_bytes(image):
    await upload(image, PNG)
    answer = await image.get("/media/1/a.png", headers={"Range": "bytes=1-3"})
    assert (answer.status, await answer.read()) == (206, b"PNG")
    assert answer.headers["Content-Range"] == f"bytes 1-3/{len(PNG)}"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("bytes=0-0", slice(0, 1)), ("bytes=-5", slice(-5, None)), ("bytes=5-", slice(5, None)), ("bytes=-99999", slice(None)),
        ("bytes=3-99999", slice(3, None)),
    ],
)  # fmt: skip
async def test_every_form_of_a_range(image, asked, given):
    await upload(image, PNG)
    answer = await image.get("/media/1/a.png", headers={"Range": asked})
    assert (answer.status, await answer.read()) == (206, PNG[given])


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "bytes=5-2", "bytes=x", "lines=1-2", "bytes=", "bytes=-", "bytes"])
async def test_several_ranges_and_rubbish_stand_for_the_whole_file(image, asked):
    await upload(image, PNG)
    answer = await image.get("/media/1/a.png", headers={"Range": asked})
    assert (answer.status, await answer.read()) == (200, PNG)


@pytest.mark.parametrize("asked", [f"bytes={len(PNG)}-", "bytes=99999-999999", "bytes=-0", "bytes=-000"])
async def test_a_range_beyond_the_end_cannot_be_satisfied(image, asked):
    await upload(image, PNG)
    answer = await image.get("/media/1/a.png", headers={"Range": asked})
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(PNG)}")


async def test_a_client_that_has_the_bytes_is_not_sent_them_again(image):
    await upload(image, PNG)
    etag = (await image.head("/media/1/a.png")).headers["ETag"]
    assert etag == f'"{hashlib.sha256(PNG).hexdigest()}"'
    for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        answer = await image.get("/media/1/a.png", headers={"If-None-Match": known})
        assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, etag, b"")
    assert (await image.get("/media/1/a.png", headers={"If-None-Match": '"x"'})).status == 200
    assert (await image.get("/media/1/a.png", headers={"If-Match": '"x"'})).status == 412
    part = {"Range": "bytes=1-3"}
    assert (await image.get("/media/1/a.png", headers={**part, "If-Range": etag})).status == 206
    assert (await image.get("/media/1/a.png", headers={**part, "If-Range": '"x"'})).status == 200


@pytest.mark.parametrize("damage", ["removed", "cut", "link", "fifo"])
async def test_a_damaged_file_is_never_served(image, settings, caplog, damage):
    await upload(image, PNG)
    (stored,) = (settings.uploads_dir / "objects").rglob("*.png")
    if damage == "cut":
        stored.write_bytes(PNG[:-1])
    else:
        stored.unlink()
    if damage == "link":
        stored.symlink_to("/etc/passwd")
    if damage == "fifo":
        os.mkfifo(stored)
    for _ in range(3):
        answer = await image.get("/media/1/a.png")
        assert (answer.status, await answer.json()) == (500, {"error": "The stored file is damaged"})
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert f"The object {stored.parent.name}/{stored.name} of image 1 is missing or damaged;" in record.message
    assert record.exc_info is None


async def test_an_image_has_no_more_attachments_than_the_settings_allow(serve):
    client = await serve(max_attachments=2)
    await client.post("/images", json={"filename": "x"})
    for name in ("a", "b", "a"):
        assert (await client.post(f"/images/1/attachment/{name}", data={"image": BytesIO(drawn("PNG"))})).status == 200
    refused = await client.post("/images/1/attachment/c", data={"image": BytesIO(drawn("PNG"))})
    assert (refused.status, "2 attachments" in (await refused.json())["error"]) == (409, True)
    assert [one["filename"] for one in await (await client.get("/images/1/attachments")).json()] == ["a", "b"]
    await client.delete("/images/1/attachment/a")
    assert (await client.post("/images/1/attachment/c", data={"image": BytesIO(drawn("PNG"))})).status == 200


async def test_many_attachments_are_listed_page_by_page(image, pool):
    """However many the settings allow, no answer holds them all."""
    await pool.query(
        "insert into attachments (image_id, filename, object_key, content_type, size, sha256, width, height) "
        "select 1, 'file ' || n, '1-' || n, 'image/png', 1, repeat('0', 64), 1, 1 from generate_series(1, 2500) as n"
    )
    for number in (2500, 2000, 1001, 1000, 999):
        await pool.query("delete from attachments where substr(filename, 6)::int > %s", (number,))
        names = [file["filename"] for file in await (await image.get("/images/1/attachments")).json()]
        assert names == sorted(f"file {n}" for n in range(1, number + 1))
    assert (await image.head("/images/1/attachments")).status == 200
