"""A change of many images is finished only if its outcome says so, and is never sent twice by itself."""

import json

import pytest
from aiohttp import web

from kt_images.client import ClientError, IncompleteChangeError, RefusedError, UnexpectedAnswerError

PROGRESS = json.dumps({"doneImages": 2, "totalImages": 3})
OUTCOME = json.dumps({"totalImages": 3, "changed": 3, "failed": 0, "failures": []})


def answering(*lines):
    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write("".join(f"{line}\n" for line in lines).encode())
        return response

    return ("*", "/{rest:.*}", answer)


async def test_many_images_are_changed_and_deleted(client):
    for tags in (["a"], ["a", "b"], ["c"]):
        await client.create("a.jpg", tags)
    told = []
    outcome = await client.change_many(tag="a", add_tags=["x"], done=lambda *now: told.append(now))
    assert (outcome.total_images, outcome.changed, told) == (2, 2, [(2, 2)])
    with pytest.raises(RefusedError):
        await client.delete_many(tag="x", expected=3)
    with pytest.raises(RefusedError):
        await client.delete_many()
    assert (await client.delete_many(tag="x", expected=2)).changed == 2
    assert await client.count() == 1


async def test_a_dry_run_changes_nothing_and_shows_some(client):
    for tags in (["a"], ["a", "b"], ["c"]):
        await client.create("a.jpg", tags)
    for call in (
        client.change_many(tag="a", add_tags=["x"], dry_run=True),
        client.delete_many(tag="a", dry_run=True, expected=2),
        client.rename_tag("a", "x", dry_run=True),
    ):
        outcome = await call
        assert (outcome.total_images, outcome.changed) == (2, 0)
        assert [image.image_id for image in outcome.sample] == [1, 2]
    assert [image.tags async for image in client.images()] == [["a"], ["a", "b"], ["c"]]


async def test_images_are_chosen_by_their_ids_or_all(client):
    for tags in (["a"], ["a", "b"], ["c"]):
        await client.create("a.jpg", tags)
    assert (await client.change_many(image_ids=range(1, 3), add_tags=["x"], expected=2)).changed == 2
    assert (await client.change_many(all=True, add_tags=["y"])).changed == 3
    assert [image.tags async for image in client.images()] == [["a", "x", "y"], ["a", "b", "x", "y"], ["c", "y"]]
    assert (await client.delete_many(image_ids=iter([3]))).changed == 1
    for which in ({"image_ids": [1], "tag": "a"}, {"all": False}, {}, {"image_ids": []}):
        with pytest.raises(RefusedError):
            await client.delete_many(**which)
    with pytest.raises(RefusedError):
        await client.rename_tag("y", "z", expected=1)
    with pytest.raises(TypeError, match="no filter 'tags'"):
        await client.delete_many(tags="y")
    with pytest.raises(TypeError, match="no filter 'all'"):
        await client.count(all=True)
    assert (await client.delete_many(all=True)).changed == 2


async def test_a_change_without_a_change_is_refused(client):
    with pytest.raises(RefusedError, match="Give tags to add"):
        await client.change_many(tag="a")


@pytest.mark.parametrize("lines", [[], [PROGRESS]])
async def test_a_change_without_its_outcome_is_not_finished(client_of, lines):
    client = await client_of(answering(*lines))
    with pytest.raises(IncompleteChangeError):
        await client.delete_many(tag="a")


@pytest.mark.parametrize(
    "lines",
    [
        [OUTCOME, PROGRESS],
        [OUTCOME, OUTCOME],
        [json.dumps({"doneImages": 9, "totalImages": 9}), OUTCOME],
        [json.dumps({"totalImages": 1, "changed": 2, "failed": 0, "failures": []})],
        ["hello"],
        ["[" * 100_000],
        ["x" * 2**22],
        [json.dumps({"totalImages": -1, "changed": 0, "failed": 0, "failures": []})],
    ],
)
async def test_another_answer_is_no_outcome(client_of, lines):
    client = await client_of(answering(*lines))
    with pytest.raises(UnexpectedAnswerError):
        await client.delete_many(tag="a")


async def test_a_change_whose_answer_is_lost_is_sent_once(client_of):
    requests = []

    async def answer(request):
        await request.read()
        requests.append(request)
        request.transport.abort()
        return web.Response()

    client = await client_of(("*", "/{rest:.*}", answer))
    for call in (client.rename_tag("a", "b"), client.delete_many(tag="a", expected=1)):
        requests.clear()
        with pytest.raises(IncompleteChangeError):
            await call
        assert len(requests) == 1


async def test_a_service_that_is_away_for_a_moment_is_asked_again(client_of):
    requests = []

    async def answer(request):
        requests.append(request)
        if len(requests) == 1:
            return web.json_response({"error": "Not now"}, status=503, headers={"Retry-After": "0"})
        return web.Response(text=f"{OUTCOME}\n")

    client = await client_of(("*", "/{rest:.*}", answer))
    assert (await client.rename_tag("a", "b")).changed == 3


def importing(*lines):
    async def answer(request):
        await request.read()
        return web.Response(text="".join(f"{line}\n" for line in lines))

    return ("POST", "/images", answer)


async def pieces(*given):
    for piece in given:
        yield piece


@pytest.mark.parametrize(
    "lines",
    [
        ['{"totalLines": 1, "totalImages": 1, "totalErrors": 0}'],
        ['{"totalLines": 3, "totalImages": 3, "totalErrors": 0}'],
        ['{"totalLines": 2, "totalImages": 2, "totalErrors": 1}'],
        ['{"totalLines": 2, "totalImages": 2, "totalErrors": 0}', '{"lines": 2, "stored": 2, "failed": 0}'],
        ['{"lines": 3, "stored": 3, "failed": 0}'],
        ['{"lines": -1, "stored": 0, "failed": 0}'],
        ["{}"],
        ["hello"],
    ],
)
async def test_an_import_with_wrong_numbers_is_no_success(client_of, lines):
    client = await client_of(importing(*lines))
    with pytest.raises(ClientError):
        await client.import_images(pieces(b'{"filename": "a"}\n{"fil', b'ename": "b"}'))


async def test_an_import_is_counted_however_its_lines_are_cut(client_of):
    client = await client_of(importing('{"totalLines": 2, "totalImages": 2, "totalErrors": 0}'))
    for given in ([b"{}\n{}"], [b"{", b"}\n{}\n"], [b"", b"{}\n", b"", b"{}\n", b""]):
        assert (await client.import_images(pieces(*given))).lines == 2


async def test_a_source_that_fails_is_what_is_told(client_of):
    async def failing():
        yield b"{}\n"
        raise OSError("the disk is gone")

    client = await client_of(importing('{"totalLines": 1, "totalImages": 1, "totalErrors": 0}'))
    with pytest.raises(OSError, match="the disk is gone"):
        await client.import_images(failing())
