"""The calls of the project's first user, in their order, each with the answer that they showed."""

import re

from pictures import JPEG


async def test_the_calls_of_the_first_user_answer_as_shown(client):
    async def get(url):
        answer = await client.get(url, allow_redirects=False)
        return answer.status, await answer.json()

    image = {"image_id": 1, "filename": "example.jpg", "tags": ["example_1", "jpeg", "canon"]}
    nothing = [{"totalImages": 0, "totalChunks": 0}]
    found = [[image], {"totalImages": 1, "totalChunks": 1}]

    assert await get("/images") == (200, nothing)

    created = await client.post("/images", json={"filename": "example.jpg", "tags": ["example_1", "jpeg", "canon"]})
    assert (created.status, await created.json()) == (201, image)
    assert created.headers["Location"] == "/images/1"

    assert await get("/images?tag=canon") == (200, found)
    assert await get("/images?tags_all=canon&tags_all=jpeg") == (200, found)
    assert await get("/images?tags_any=canon&tags_any=nikon") == (200, found)
    assert await get("/images?tag=canon2") == (200, nothing)

    # As a shell passes them on when the URL stands there without quotes: the rest is a command of its own.
    assert await get("/images?tags_all=canon") == (200, found)
    assert await get("/images?tags_any=canon") == (200, found)

    assert await get("/images/1") == (200, image)
    assert await get("/images/22") == (404, {"error": "Image <22> is not found"})

    stored = await client.post("/images/1/attachment/example.jpg", data={"image": JPEG.open("rb")})
    assert (stored.status, stored.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert await stored.text() == f"example.jpg sized of {JPEG.stat().st_size} successfully stored"

    redirect = await client.get("/images/1/attachment/example.jpg", allow_redirects=False)
    assert (redirect.status, redirect.headers["Location"]) == (302, "/media/1/example.jpg")
    assert redirect.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert re.fullmatch(r"302: Found", await redirect.text())

    media = await client.get("/images/1/attachment/example.jpg")
    assert (media.status, media.content_type) == (200, "image/jpeg")
    assert await media.read() == JPEG.read_bytes()
