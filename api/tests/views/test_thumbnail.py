"""A picture for an image of which a page knows the id alone."""

import asyncio
from io import BytesIO

import aiohttp
import pytest
from PIL import Image

from kt_images.database import attachments
from kt_images.database.shared import Shared
from pictures import JPEG, drawn


async def attach(client, name, content, image_id=1):
    form = aiohttp.FormData()
    form.add_field("image", BytesIO(content), filename="x")
    answer = await client.post(f"/images/{image_id}/attachment/{name}", data=form)
    assert answer.status == 200, await answer.text()


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "m.jpg"})
    return client


async def shown(client, query="?width=160"):
    answer = await client.get(f"/images/1/thumbnail{query}")
    assert answer.status == 200, await answer.text()
    return answer, Image.open(BytesIO(await answer.read()))


async def test_it_is_of_the_file_that_is_named_like_the_image_else_of_the_first(image):
    await attach(image, "z.jpg", drawn("JPEG", (400, 100)))
    assert (await shown(image))[1].size == (160, 40)
    await attach(image, "B.jpg", drawn("JPEG", (400, 200)))
    await attach(image, "a.jpg", drawn("JPEG", (400, 300)))
    assert (await shown(image))[1].size == (160, 80)
    await attach(image, "m.jpg", drawn("JPEG", (400, 400)))
    assert (await shown(image))[1].size == (160, 160)


async def test_an_image_without_a_file_has_none_and_one_that_is_not_there_neither(image):
    for image_id, sentence in ((1, "No file is stored for this image"), (2, "Image <2> is not found")):
        answer = await image.get(f"/images/{image_id}/thumbnail?width=320")
        assert (answer.status, await answer.json()) == (404, {"error": sentence})
        assert (await image.head(f"/images/{image_id}/thumbnail")).status == 404
    assert (await image.get("/images/x/thumbnail")).status == 404


async def test_a_page_that_is_loaded_again_gets_the_new_picture_or_none(image):
    await attach(image, "m.jpg", JPEG.read_bytes())
    answer, _ = await shown(image)
    assert (answer.content_type, answer.headers["Cache-Control"]) == ("image/webp", "no-cache")
    has = {"If-None-Match": answer.headers["ETag"]}
    assert (await image.get("/images/1/thumbnail?width=160", headers=has)).status == 304
    head = await image.head("/images/1/thumbnail?width=160")
    assert (head.status, head.headers["ETag"]) == (200, answer.headers["ETag"])
    assert int(head.headers["Content-Length"]) == len(await answer.read())
    await attach(image, "m.jpg", drawn("JPEG", (400, 300)))
    assert (await image.get("/images/1/thumbnail?width=160", headers=has)).status == 200


async def test_without_a_width_it_is_the_nearest_to_320(image, serve):
    await attach(image, "m.jpg", JPEG.read_bytes())
    assert (await shown(image, ""))[1].width == 320
    assert (await shown(await serve(thumbnail_widths=(100, 300, 500), eager_widths=()), ""))[1].width == 300
    answer = await image.get("/images/1/thumbnail?width=161")
    assert answer.status == 400
    assert "160, 320, 640, 1280" in (await answer.json())["error"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (drawn("PNG", (100, 100)), "image/png"),
        (drawn("TIFF", (100, 100)), "image/webp"),
        (drawn("BMP", (159, 2000)), "image/webp"),
    ],
)
async def test_a_narrow_original_is_sent_as_it_is_only_where_it_is_light_and_any_browser_shows_it(
    image, content, content_type
):
    await attach(image, "m.jpg", content)
    answer, _ = await shown(image)
    assert answer.content_type == content_type


async def test_a_page_full_of_them_is_a_few_statements(image, pool, monkeypatch):
    await attach(image, "m.jpg", JPEG.read_bytes())
    asked, pictures = [], attachments.pictures

    async def counted(db, image_ids):
        asked.append(len(image_ids))
        return await pictures(db, image_ids)

    monkeypatch.setattr(attachments, "pictures", counted)
    shared = Shared(pool)
    found = await asyncio.gather(*(shared.read_picture(1 + number % 2) for number in range(60)), return_exceptions=True)
    assert [str(one) if isinstance(one, Exception) else one.image_id for one in found] == [
        1, "Image <2> is not found"
    ] * 30  # fmt: skip
    assert asked == [1, 59]
