"""An image and its file in one call."""

import asyncio
import base64
import hashlib
import random
from itertools import product

import aiohttp
import pytest

from pictures import JPEG, drawn
from stored import stored_files

PNG = drawn("PNG")


def form(content=PNG, filename="a.png", tags=(), order="file first", headers=None):
    """Return a form with a file and tags; `order` is the order of its parts."""
    body = aiohttp.MultipartWriter("form-data")
    parts = [("image", content)] + [("tags", tag) for tag in tags]
    if order != "file first":
        parts.reverse()
    for name, value in parts:
        part = aiohttp.payload.BytesPayload(value.encode() if isinstance(value, str) else value)
        named = {"name": name, **({"filename": filename} if name == "image" and filename is not None else {})}
        part.set_content_disposition("form-data", quote_fields=False, **named)
        if name == "image":
            part.headers.update(headers or {})
        body.append_payload(part)
    return body


async def upload(client, *args, on_duplicate=None, headers=None, **kwargs):
    url = "/images/upload" + (f"?on_duplicate={on_duplicate}" if on_duplicate else "")
    answer = await client.post(url, data=form(*args, **kwargs), headers=headers or {})
    return answer.status, await answer.json(), answer.headers.get("Location")


async def count(client):
    return (await (await client.get("/images")).json())[-1]["totalImages"]


@pytest.mark.parametrize("order", ["file first", "file last"])
async def test_an_image_is_made_with_its_tags_and_its_file(client, order):
    status, image, location = await upload(client, filename="ü b.png", tags=["x", " cafe\u0301 ", "x"], order=order)
    assert (status, location) == (201, "/images/1")
    assert image == {"image_id": 1, "filename": "ü b.png", "tags": ["x", "caf\u00e9"]}
    assert await (await client.get(location)).json() == image
    (file,) = await (await client.get("/images/1/attachments")).json()
    assert (file["filename"], file["sha256"]) == ("ü b.png", hashlib.sha256(PNG).hexdigest())
    assert await (await client.get("/images/1/attachment/ü b.png")).read() == PNG


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": [""]}, {"tags": ["x" * 101]}, {"tags": ["a\0b"]}, {"tags": ["x" * 5000]}, {"tags": [b"\xff"]},
        {"tags": [f"{n}" for n in range(65)]}, {"filename": "../a"}, {"filename": ""}, {"filename": None}, {"filename": ".."},
        {"filename": "x" * 256}, {"filename": "a\\\\b"},
    ],
)  # fmt: skip
async def test_names_and_tags_obey_the_rules_of_json(client, settings, wrong):
    status, body, _ = await upload(client, **wrong)
    assert status == 400, body
    assert await count(client) == 0
    assert stored_files(settings) == []


@pytest.mark.parametrize("field", ["tag", "Tags", "_charset_"])
async def test_an_unknown_part_loses_nothing_in_silence(client, settings, field):
    body = aiohttp.FormData({field: "x"})
    body.add_field("image", PNG, filename="a.png")
    answer = await client.post("/images/upload", data=body)
    assert answer.status == 400
    assert await count(client) == 0
    assert stored_files(settings) == []


async def test_one_file_no_more_and_no_less(client, settings):
    for files in (0, 2):
        body = aiohttp.FormData({"tags": "x"})
        body._is_multipart = True
        for _ in range(files):
            body.add_field("image", PNG, filename="a.png")
        assert (await client.post("/images/upload", data=body)).status == 400
    assert await count(client) == 0
    assert stored_files(settings) == []


async def test_64_tags_are_taken_with_a_file(client):
    tags = [f"{n}" for n in range(64)]
    assert (await upload(client, tags=tags))[1]["tags"] == tags


@pytest.mark.parametrize(("content", "status"), [(b"", 400), (b"nonsense", 415), (JPEG.read_bytes()[:-1000], 400)])
async def test_no_image_without_its_picture(client, settings, content, status):
    assert (await upload(client, content))[0] == status
    assert await count(client) == 0
    assert stored_files(settings) == []


async def test_the_same_bytes_again_are_another_image_unless_asked_otherwise(client):
    for number in (1, 2):
        status, image, _ = await upload(client)
        assert (status, image["image_id"]) == (201, number)
    assert (await upload(client, on_duplicate="create"))[0] == 201


async def test_the_same_bytes_again_are_refused_with_the_image_that_has_them(client, settings):
    assert (await upload(client, on_duplicate="reject"))[0] == 201
    files = stored_files(settings)
    answer = await upload(client, filename="b.png", tags=["new"], on_duplicate="reject")
    assert answer == (409, {"error": "Image <1> has the same bytes"}, "/images/1")
    assert await count(client) == 1
    assert stored_files(settings) == files
    assert (await upload(client, JPEG.read_bytes(), on_duplicate="reject"))[0] == 201


async def test_the_same_bytes_again_bring_their_tags_to_the_image_that_has_them(client, settings):
    await upload(client, tags=["x", "y"], on_duplicate="merge_tags")
    files = stored_files(settings)
    status, image, _ = await upload(client, filename="b.png", tags=["z", "y"], on_duplicate="merge_tags")
    assert (status, image) == (200, {"image_id": 1, "filename": "a.png", "tags": ["x", "y", "z"]})
    assert await count(client) == 1
    assert stored_files(settings) == files


async def test_merged_tags_are_not_more_than_an_image_may_have(client):
    await upload(client, tags=[f"{n}" for n in range(40)])
    status, body, _ = await upload(client, tags=[f"new {n}" for n in range(40)], on_duplicate="merge_tags")
    assert (status, body) == (400, {"error": "An image has at most 64 tags"})
    assert len((await (await client.get("/images/1")).json())["tags"]) == 40


async def test_an_image_that_is_gone_or_has_another_file_now_is_no_duplicate(client):
    await upload(client)
    await client.delete("/images/1")
    assert (await upload(client, on_duplicate="reject"))[0] == 201
    body = aiohttp.FormData()
    body.add_field("image", JPEG.read_bytes(), filename="x")
    await client.post("/images/2/attachment/a.png", data=body)
    assert (await upload(client, on_duplicate="reject"))[0] == 201


async def test_an_unknown_way_to_treat_duplicates_is_refused(client):
    assert (await upload(client, on_duplicate="replace"))[0] == 400


@pytest.mark.parametrize(("on_duplicate", "status"), [("reject", 409), ("merge_tags", 200)])
async def test_of_many_identical_uploads_at_once_one_makes_the_image(client, on_duplicate, status):
    answers = await asyncio.gather(*(upload(client, tags=[f"{n}"], on_duplicate=on_duplicate) for n in range(12)))
    assert sorted(answer[0] for answer in answers) == sorted([201] + [status] * 11)
    assert await count(client) == 1
    tags = (await (await client.get("/images")).json())[0][0]["tags"]
    assert len(tags) == (12 if on_duplicate == "merge_tags" else 1)


async def test_what_two_processes_upload_at_once_is_made_once(serve):
    clients = [await serve(), await serve()]
    answers = await asyncio.gather(*(upload(clients[n % 2], on_duplicate="reject") for n in range(8)))
    assert sorted(answer[0] for answer in answers) == [201] + [409] * 7


async def test_a_client_that_leaves_at_any_moment_leaves_all_or_nothing(client, settings):
    def jpegs():
        return [name for name in stored_files(settings) if name.endswith(".jpg")]

    chance = random.Random(1)
    for _ in range(25):
        asked = asyncio.create_task(client.post("/images/upload", data=form(JPEG.read_bytes(), "a.jpg", ["x"])))
        await asyncio.sleep(chance.random() * 0.06)
        asked.cancel()
        await asyncio.wait([asked])
    await asyncio.sleep(0.2)
    async with asyncio.timeout(20):
        while list((settings.uploads_dir / "incoming").iterdir()) or await count(client) != len(jpegs()):
            await asyncio.sleep(0.05)
    for image_id in range(1, 26):
        if (await client.get(f"/images/{image_id}")).status == 200:
            assert await (await client.get(f"/media/{image_id}/a.jpg")).read() == JPEG.read_bytes()


def digest(content, algorithm="sha256"):
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


GOOD = [
    f"sha-256=:{digest(PNG)}:",
    f"sha-512=:{digest(b'', 'sha512')}:, sha-256=:{digest(PNG)}:",
    f"sha-256=:{digest(PNG)}:;q=1",
    "md5=:AAAA:",
]
BAD = [
    f"sha-256=:{digest(b'other')}:",
    "sha-256=:AAAA:",
    "sha-256=AAAA",
    "nonsense",
    f"sha-256=:{digest(PNG)[:-1]}:",
    "SHA-256=::",
]


@pytest.mark.parametrize(("value", "statuses"), [(v, (201, 200)) for v in GOOD] + [(v, (400, 400)) for v in BAD])
async def test_a_digest_that_is_sent_along_is_checked(client, settings, value, statuses):
    await client.post("/images", json={"filename": "x"})
    for header, where in product(["Repr-Digest", "Content-Digest"], ["part", "request"]):
        for url, status in zip(("/images/upload", "/images/1/attachment/a.png"), statuses, strict=True):
            body = form(headers={header: value} if where == "part" else None)
            answer = await client.post(url, data=body, headers={header: value} if where == "request" else {})
            assert answer.status == status, await answer.text()
    if statuses == (400, 400):
        assert await count(client) == 1
        assert stored_files(settings) == []


async def test_the_bytes_are_answered_with_their_digest(client):
    await upload(client)
    expected = f"sha-256=:{digest(PNG)}:"
    for headers, status in (({}, 200), ({"Range": "bytes=1-3"}, 206), ({"If-None-Match": "*"}, 304)):
        answer = await client.get("/media/1/a.png", headers=headers)
        assert (answer.status, answer.headers["Repr-Digest"]) == (status, expected)
    assert (await client.head("/media/1/a.png")).headers["Repr-Digest"] == expected
