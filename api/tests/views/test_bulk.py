"""Changes of many images: what they are about, what they promise, and what stops them."""

import asyncio
import json
import random

import pytest

from kt_images.database import bulk, images
from kt_images.models.images import NewImage, Selection
from kt_images.views import app_keys

NDJSON = {"Accept": "application/x-ndjson"}
IMAGES = [["red", "round"], ["red"], ["blue"], [], ["blue", "red"]]


@pytest.fixture
async def filled(client):
    for number, tags in enumerate(IMAGES, 1):
        await client.post("/images", json={"filename": f"{number}.jpg", "tags": tags})
    return client


@pytest.fixture
async def many(client, pool):
    """2,500 images with the tag `a`, 500 without."""
    await pool.query("insert into images (filename, tags) select n, '{a}' from generate_series(1, 2500) as n")
    await pool.query("insert into images (filename, tags) select n, '{b}' from generate_series(1, 500) as n")
    return client


async def tags(client):
    *chunks, _ = await (await client.get("/images")).json()
    return [image["tags"] for chunk in chunks for image in chunk]


async def test_tags_are_added_to_and_removed_from_what_the_filters_select(filled):
    answer = await filled.patch("/images?tag=red", json={"add_tags": ["new", "round"], "remove_tags": ["red"]})
    assert answer.status == 200
    assert await answer.json() == {"totalImages": 3, "changed": 3, "failed": 0, "failures": []}
    assert await tags(filled) == [["round", "new"], ["new", "round"], ["blue"], [], ["blue", "new", "round"]]


async def test_the_same_call_again_changes_nothing(filled):
    for changed in (3, 0):
        answer = await filled.patch("/images?tags_any=red", json={"add_tags": ["new"]})
        assert (await answer.json())["changed"] == changed


@pytest.mark.parametrize(
    ("query", "left"),
    [("tag=red", 2), ("untagged=true", 4), ("tags_none=red", 3), ("all=true", 0), ("after=3", 3), ("before=3", 3), ("tag=x", 5)],
)  # fmt: skip
async def test_images_are_deleted_by_filters(filled, query, left):
    answer = await filled.delete(f"/images?{query}")
    assert await answer.json() == {"totalImages": 5 - left, "changed": 5 - left, "failed": 0, "failures": []}
    assert len(await tags(filled)) == left
    assert (await (await filled.delete(f"/images?{query}")).json())["changed"] == 0


async def test_images_are_named_by_ids_in_the_place_of_filters(filled):
    answer = await filled.patch("/images", json={"image_ids": [5, 1, 1, 99], "add_tags": ["new"]})
    assert (await answer.json())["changed"] == 2
    assert [("new" in one) for one in await tags(filled)] == [True, False, False, False, True]
    answer = await filled.delete("/images", json={"image_ids": [1, 5, 99]})
    assert (await answer.json())["totalImages"] == 2
    assert len(await tags(filled)) == 3


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {}),
        ("?dry_run=true", {}),
        ("?limit=1", {}),
        ("?order=newest", {}),
        ("?tagz=red", {}),
        ("?all=false", {}),
        ("?all=", {}),
        ("?all=true&tag=red", {}),
        ("?after=0", {}),
        ("?tag=red&expected=x", {}),
        ("?tag=red&expected=-1", {}),
        ("?tag=red&dry_run=yes", {}),
        ("?tag=", {}),
        ("?tag=red", {"image_ids": [1]}),
        ("?all=true", {"image_ids": [1]}),
        ("", {"image_ids": []}),
        ("", {"image_ids": None}),
        ("", {"image_ids": ["1"]}),
        ("", {"image_ids": [0]}),
        ("", {"image_ids": [2**63]}),
        ("", {"image_ids": [1.0]}),
        ("", {"image_ids": [1] * 10_001}),
        ("?tag=red", {"filename": "a"}),
        ("?tag=red", {"tags": ["a"]}),
    ],
)
async def test_what_is_not_clear_changes_nothing(filled, method, query, body):
    if method == "PATCH":
        body = {"add_tags": ["new"], **body}
    answer = await filled.request(method, f"/images{query}", json=body)
    assert answer.status == 400, await answer.text()
    assert await tags(filled) == IMAGES


@pytest.mark.parametrize(
    "body", [{}, {"add_tags": []}, {"add_tags": ["a"], "remove_tags": ["a"]}, {"add_tags": [""]}, {"add_tags": None}]
)
async def test_a_change_that_is_none_is_refused(filled, body):
    assert (await filled.patch("/images?tag=red", json=body)).status == 400


async def test_a_body_of_another_kind_deletes_nothing(filled):
    for data, content_type, status in (("{}", "text/plain", 415), ("{", "application/json", 400), ("[1]", "application/json", 400)):  # fmt: skip
        answer = await filled.delete("/images?all=true", data=data, headers={"Content-Type": content_type})
        assert answer.status == status
    assert len(await tags(filled)) == 5


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(filled):
    for method, body in (("PATCH", {"add_tags": ["new"]}), ("DELETE", None)):
        answer = await filled.request(method, "/images?tag=red&dry_run=true", json=body)
        told = await answer.json()
        assert told["totalImages"] == 3
        assert [image["image_id"] for image in told["sample"]] == [1, 2, 5]
    assert await tags(filled) == IMAGES


async def test_another_number_than_expected_changes_nothing(filled):
    for expected, status in ((2, 409), (0, 409), (4, 409), (3, 200)):
        answer = await filled.patch(f"/images?tag=red&expected={expected}", json={"add_tags": ["new"]})
        assert answer.status == status
        if status == 409:
            assert (await answer.json())["error"] == f"3 images match, not {expected}; nothing was changed"
            assert await tags(filled) == IMAGES


async def test_images_that_would_have_too_many_tags_are_named_and_left(client, pool):
    full = [f"tag {n}" for n in range(64)]
    for number in range(150):
        await images.create(pool, [NewImage(filename="a", tags=[*full[1:], "red"] if number % 2 else ["red"])])
    answer = await (await client.patch("/images?tag=red", json={"add_tags": ["new"]})).json()
    assert (answer["totalImages"], answer["changed"], answer["failed"]) == (150, 75, 75)
    assert answer["failures"][0] == {"image_id": 2, "error": "The image would have more than 64 tags"}
    assert len(answer["failures"]) == 75
    # A tag may take another's place.
    answer = await (await client.patch("/images?tag=red", json={"add_tags": ["new"], "remove_tags": ["red"]})).json()
    assert (answer["changed"], answer["failed"]) == (150, 0)


async def test_no_more_than_a_hundred_failures_are_named(client, pool):
    full = [f"tag {n}" for n in range(64)]
    await images.create(pool, [NewImage(filename="a", tags=full)] * 1500)
    answer = await (await client.patch("/images?all=true", json={"add_tags": ["new"]})).json()
    assert (answer["failed"], len(answer["failures"])) == (1500, 100)


async def test_progress_is_told_after_each_part_and_the_last_line_is_the_proof(many):
    answer = await many.patch("/images?tag=a", json={"add_tags": ["new"]}, headers=NDJSON)
    assert answer.content_type == "application/x-ndjson"
    assert [json.loads(line) for line in (await answer.text()).splitlines()] == [
        {"doneImages": 1000, "totalImages": 2500},
        {"doneImages": 2000, "totalImages": 2500},
        {"doneImages": 2500, "totalImages": 2500},
        {"totalImages": 2500, "changed": 2500, "failed": 0, "failures": []},
    ]
    answer = await many.delete("/images?tag=none", headers=NDJSON)
    assert [json.loads(line) for line in (await answer.text()).splitlines()] == [
        {"totalImages": 0, "changed": 0, "failed": 0, "failures": []}
    ]


async def test_images_stored_meanwhile_do_not_keep_it_going(many, pool):
    extent = await bulk.extent(pool, Selection(tags_all=["a"]), 1)
    changed = 0
    async for part in bulk.parts(pool, extent.selection, bulk.retagging(["new"], []), 1, size=100):
        changed += part.changed
        await pool.query("insert into images (filename, tags) select n, '{a}' from generate_series(1, 200) as n")
    assert changed == 2500


@pytest.mark.parametrize("change", [bulk.retagging(["new"], []), bulk.DELETING])
async def test_an_image_that_stops_matching_before_its_turn_is_left_as_it_is(many, pool, change):
    extent = await bulk.extent(pool, Selection(tags_all=["a"]), 1)
    seen, changed = 0, 0
    async for part in bulk.parts(pool, extent.selection, change, 1, size=10):
        if not seen:
            await pool.query("update images set tags = '{b}' where image_id in (15, 250)")
        seen, changed = seen + part.images, changed + part.changed
    assert seen == changed == 2498
    left = await pool.query("select image_id from images where tags = '{b}' and image_id < 2501 order by image_id")
    assert [row.image_id for row in left] == [15, 250]


@pytest.mark.parametrize("headers", [NDJSON, {}])
async def test_a_client_that_leaves_stops_it(many, pool, headers, monkeypatch):
    monkeypatch.setattr(bulk.parts, "__kwdefaults__", {"size": 10})
    body = b'{"add_tags": ["new"]}'
    _, writer = await asyncio.open_connection("127.0.0.1", many.port)
    accept = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        f"PATCH /images?tag=a HTTP/1.1\r\nHost: localhost\r\n{accept}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    count = "select count(*) as n from images where tags @> '{new}'"
    while not (await pool.query(count))[0].n:
        await asyncio.sleep(0.005)
    writer.transport.abort()
    stopped = 0
    async with asyncio.timeout(20):
        while stopped != (changed := (await pool.query(count))[0].n):
            stopped = changed
            await asyncio.sleep(0.5)
    assert stopped < 2500
    assert not many.app[app_keys.MANY].locked()
    answer = await (await many.patch("/images?tag=a", json={"add_tags": ["new"]})).json()
    assert answer["changed"] == 2500 - stopped


async def test_a_part_that_takes_too_long_is_done_in_smaller_ones(many, pool, serve):
    await pool.query(
        "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.001); return new; end $$"
    )
    await pool.query("create trigger slow before update on images for each row execute function slow()")
    try:
        client = await serve(statement_timeout=0.6)
        answer = await client.patch("/images?tag=a", json={"add_tags": ["new"]})
        assert (await answer.json())["changed"] == 2500
    finally:
        await pool.query("drop function slow cascade")


async def test_two_at_once_over_the_same_images_and_writes_beside(many, pool):
    async def write():
        for _ in range(200):
            image_id = random.randint(1, 3000)
            if random.random() < 0.3:
                await many.delete(f"/images/{image_id}")
            else:
                await many.patch(f"/images/{image_id}", json={"add_tags": [random.choice("xyz")]})

    calls = [many.patch("/images?tags_any=a&tags_any=b", json={"add_tags": [f"new {n}"]}) for n in range(3)]
    answers = await asyncio.gather(*calls, write(), write())
    assert [answer.status for answer in answers[:3]] == [200] * 3
    for one in await tags(many):
        assert {"new 0", "new 1", "new 2"} <= set(one)


async def test_lost_sessions_neither_stop_it_nor_spoil_its_count(many, pool):
    """Each part is done once, whether its COMMIT was answered or not."""
    ended = asyncio.Event()

    async def kill():
        while not ended.is_set():
            await pool.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'xact|part|begin|commit' "
                "and pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
            await asyncio.sleep(random.random() / 20)

    killing = None
    extent = await bulk.extent(pool, Selection(tags_all=["a"]), 1)
    seen = 0
    try:
        async for part in bulk.parts(many.app[app_keys.DATABASE].primary.statements, extent.selection, bulk.retagging(["new"], ["a"]), 20, size=25):  # fmt: skip
            seen += part.changed
            killing = killing or asyncio.create_task(kill())  # before the first part, the caller learns of it at once
    finally:
        ended.set()
        await asyncio.gather(killing, return_exceptions=True)
    assert seen == 2500


async def test_no_more_than_a_few_at_once(filled):
    async with (
        filled.app[app_keys.MANY],
        filled.app[app_keys.MANY],
        filled.app[app_keys.MANY],
        filled.app[app_keys.MANY],
    ):
        answer = await filled.patch("/images?tag=red", json={"add_tags": ["new"]})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_tag_is_renamed(filled):
    answer = await filled.post("/tags/rename", json={"tag": "red", "to": "crimson"})
    assert await answer.json() == {"totalImages": 3, "changed": 3, "failed": 0, "failures": []}
    assert await tags(filled) == [["round", "crimson"], ["crimson"], ["blue"], [], ["blue", "crimson"]]
    assert (await filled.post("/tags/rename", json={"tag": "red", "to": "crimson"})).status == 404


async def test_two_tags_become_one_only_if_that_is_meant(filled):
    answer = await filled.post("/tags/rename", json={"tag": "red", "to": "blue"})
    assert answer.status == 409
    assert await tags(filled) == IMAGES
    answer = await filled.post("/tags/rename?dry_run=true", json={"tag": "red", "to": "blue", "merge": True})
    assert (await answer.json())["totalImages"] == 3
    answer = await filled.post("/tags/rename?expected=3", json={"tag": "red", "to": "blue", "merge": True})
    assert answer.status == 200
    assert await tags(filled) == [["round", "blue"], ["blue"], ["blue"], [], ["blue"]]


@pytest.mark.parametrize(
    "body",
    [{}, {"tag": "red"}, {"tag": "red", "to": "red"}, {"tag": "red", "to": " red "}, {"tag": "red", "to": ""},
     {"tag": "red", "to": "a", "merge": "yes"}, {"tag": "red", "to": "a", "more": 1}],
)  # fmt: skip
async def test_a_rename_that_is_none_is_refused(filled, body):
    assert (await filled.post("/tags/rename", json=body)).status == 400
    assert await tags(filled) == IMAGES


async def test_a_full_image_can_have_a_tag_renamed(client):
    await client.post("/images", json={"filename": "a", "tags": [f"tag {n}" for n in range(64)]})
    answer = await client.post("/tags/rename", json={"tag": "tag 0", "to": "new"})
    assert (await answer.json())["changed"] == 1
