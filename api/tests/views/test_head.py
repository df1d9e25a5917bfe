"""HEAD works wherever GET does."""

from io import BytesIO

import pytest

from kt_images.application import PAGES, VIEWS
from kt_images.gallery import assets
from pictures import JPEG

URLS = [path for path, view in VIEWS.items() if hasattr(view, "get")] + [*PAGES, "/oas/spec"]
QUERIES = {"/attachments": f"?sha256={'0' * 64}"}


@pytest.mark.parametrize("path", URLS)
async def test_head_answers_as_get_does_and_without_a_body(client, path):
    await client.post("/images", json={"filename": "a.jpg"})
    await client.post("/images/1/attachment/a.jpg", data={"image": BytesIO(JPEG.read_bytes())})
    url = path.replace("{image_id:[^/]+}", "1").replace("{filename:[^/]+}", "a.jpg")
    url = url.replace("{name:[^/]+}", next(iter(assets.files()))) + QUERIES.get(path, "")
    get = await client.get(url, allow_redirects=False)
    head = await client.head(url, allow_redirects=False)
    assert get.status in {200, 302}
    assert (head.status, head.content_type) == (get.status, get.content_type)
    assert await get.read() or get.status == 302
    assert await head.read() == b""
