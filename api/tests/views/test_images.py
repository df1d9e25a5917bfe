"""One image at a time: create, read, change, delete."""

import pytest


async def create(client, filename="a.jpg", tags=()):
    answer = await client.post("/images", json={"filename": filename, "tags": list(tags)})
    assert answer.status == 201
    return await answer.json()


async def patch(client, image, **changes):
    answer = await client.patch(f"/images/{image['image_id']}", json=changes)
    return answer.status, await answer.json()


async def test_tags_may_be_left_out(client):
    answer = await client.post("/images", json={"filename": "a.jpg"})
    assert await answer.json() == {"image_id": 1, "filename": "a.jpg", "tags": []}


async def test_names_and_tags_are_kept_in_nfc_and_tags_without_blanks_around_them(client):
    image = await create(client, "cafe\u0301.jpg", [" cafe\u0301 "])
    assert (image["filename"], image["tags"]) == ("caf\u00e9.jpg", ["caf\u00e9"])


async def test_a_repeated_tag_is_kept_where_it_first_stood(client):
    assert (await create(client, tags=["b", "a", " b", "a"]))["tags"] == ["b", "a"]


async def test_tags_differ_by_case(client):
    assert (await create(client, tags=["a", "A"]))["tags"] == ["a", "A"]


async def test_an_image_is_found_at_its_location(client):
    created = await client.post("/images", json={"filename": "a.jpg", "tags": ["x"]})
    found = await client.get(created.headers["Location"])
    assert await found.json() == await created.json()


@pytest.mark.parametrize(
    ("changes", "filename", "tags"),
    [
        ({}, "a.jpg", ["x", "y"]),
        ({"filename": "b.jpg"}, "b.jpg", ["x", "y"]),
        ({"tags": ["z"]}, "a.jpg", ["z"]),
        ({"tags": []}, "a.jpg", []),
        ({"add_tags": ["z", "x", "a"]}, "a.jpg", ["x", "y", "z", "a"]),
        ({"remove_tags": ["x", "unknown"]}, "a.jpg", ["y"]),
        ({"add_tags": ["z"], "remove_tags": ["x"]}, "a.jpg", ["y", "z"]),
    ],
)
async def test_a_change_changes_what_it_names_and_nothing_else(client, changes, filename, tags):
    image = await create(client, tags=["x", "y"])
    expected = {"image_id": image["image_id"], "filename": filename, "tags": tags}
    assert await patch(client, image, **changes) == (200, expected)
    assert await (await client.get(f"/images/{image['image_id']}")).json() == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": ["a"], "add_tags": ["b"]},
        {"tags": ["a"], "remove_tags": ["b"]},
        {"add_tags": ["a"], "remove_tags": ["a"]},
        {"filename": None},
        {"tags": None},
        {"tag": ["a"]},
        {"image_id": 7},
        {"add_tags": [f"new {n}" for n in range(63)]},
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(client, changes):
    image = await create(client, tags=["x", "y"])
    status, body = await patch(client, image, **changes)
    assert status == 400, body
    assert await (await client.get(f"/images/{image['image_id']}")).json() == image


async def test_a_deleted_image_is_gone_and_cannot_be_deleted_again(client):
    image = await create(client)
    url = f"/images/{image['image_id']}"
    assert (await client.delete(url)).status == 204
    gone = await client.delete(url)
    assert (gone.status, await gone.json()) == (404, {"error": f"Image <{image['image_id']}> is not found"})
    assert (await client.get(url)).status == 404
    assert (await client.patch(url, json={"tags": []})).status == 404


async def test_the_largest_image_that_is_allowed(client):
    image = await create(client, "n" * 255, [f"{n:0100}" for n in range(64)])
    assert await (await client.get("/images/1")).json() == image


async def test_head_answers_as_get_without_a_body(client):
    await create(client)
    for url in ("/images", "/images/1", "/healthz", "/readyz", "/images/2"):
        get, head = await client.get(url), await client.head(url)
        assert head.status == get.status
        assert head.content_type == get.content_type
        assert await head.read() == b""


async def test_a_method_that_a_url_does_not_take_is_answered_with_those_it_takes(client):
    answer = await client.put("/images", json={})
    assert (answer.status, set(answer.headers["Allow"].split(","))) == (405, {"DELETE", "GET", "HEAD", "PATCH", "POST"})
