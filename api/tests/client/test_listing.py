"""A list that is not complete is an error, however it ends."""

import asyncio
import json

import pytest
from aiohttp import web

from kt_images.client import Image, IncompleteListError, UnexpectedAnswerError

LINES = [json.dumps({"image_id": number, "filename": "a", "tags": ["b"]}) for number in (1, 2)]
TOTALS = json.dumps({"totalImages": 2, "totalChunks": 1})


def listing(*lines, breaks=False):
    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
        if breaks:
            request.transport.close()
        return response

    return ("GET", "/images", answer)


async def test_a_list_with_its_totals_is_complete(client_of):
    client = await client_of(listing(*LINES, TOTALS))
    assert [image.image_id async for image in client.images()] == [1, 2]


@pytest.mark.parametrize(
    ("lines", "breaks"),
    [(LINES, False), (LINES, True), ([LINES[0], TOTALS], False), ([], False), ([TOTALS], False)],
)
async def test_a_list_without_the_right_totals_is_not(client_of, lines, breaks):
    client = await client_of(listing(*lines, breaks=breaks))
    with pytest.raises(IncompleteListError, match="it is incomplete"):
        async for _ in client.images():
            pass


def image(**fields):
    return json.dumps({"image_id": 3, "filename": "a", "tags": []} | fields)


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "[1]",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"image_id": 3, "filename": "a"}',
        '{"image_id": 3, "filename": "\udcff", "tags": []}',
        '{"image_id": 3, "filename": "\x1b", "tags": []}',
        *(image(image_id=number) for number in ("1", True, None, 1.5, 0, -1, 2**63, 10**30)),
        *(image(filename=name) for name in (None, 1, ["a"])),
        *(image(tags=tags) for tags in (None, "a", [1], [["a"]], {"a": "b"})),
        *(image(more=more) for more in ("\udcff", "\ud800")),
        '{"totalImages": "1"}',
        '{"totalImages": true}',
    ],
)
@pytest.mark.parametrize("before", [[], LINES])
async def test_other_lines_are_not_images(client_of, line, before):
    for lines in ([*before, line, LINES[0], TOTALS], [*before, line]):
        client = await client_of(listing(*lines))
        with pytest.raises(UnexpectedAnswerError):
            async for _ in client.images():
                pass


async def test_a_later_service_may_say_more_of_an_image(client_of):
    client = await client_of(listing(image(more={"a": [1]}), json.dumps({"totalImages": 1, "totalTags": 0})))
    assert [one async for one in client.images()] == [Image(3, "a", [])]


async def test_totals_in_the_middle_end_no_list(client_of):
    client = await client_of(listing(*LINES, TOTALS, LINES[0], image(), TOTALS))
    with pytest.raises(UnexpectedAnswerError):
        async for _ in client.images():
            pass


async def test_pieces_of_any_length_make_the_same_list(client_of):
    whole = "".join(f"{line}\n" for line in (*LINES, image(filename="水"), TOTALS.replace("2", "3"))).encode()

    def in_pieces(size):
        async def answer(request):
            response = web.StreamResponse()
            await response.prepare(request)
            for start in range(0, len(whole), size):
                await response.write(whole[start : start + size])
                await asyncio.sleep(0)
            return response

        return ("GET", "/images", answer)

    for size in (1, 7, 64, len(whole)):
        client = await client_of(in_pieces(size))
        assert [(one.image_id, one.filename) async for one in client.images()] == [(1, "a"), (2, "a"), (3, "水")]


async def test_a_line_without_end_is_cut(client_of):
    client = await client_of(listing("x" * 2**22))
    with pytest.raises(UnexpectedAnswerError):
        async for _ in client.images():
            pass
