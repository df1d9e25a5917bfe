"""A list that is not complete is an error, however it ends."""

import json

import pytest
from aiohttp import web

from kt_images.client import IncompleteListError, UnexpectedAnswerError

LINES = [json.dumps({"image_id": number, "filename": "a", "tags": ["b"]}) for number in (1, 2)]
TOTALS = json.dumps({"totalImages": 2, "totalChunks": 1})


def listing(*lines, breaks=False):
    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write("".join(f"{line}\n" for line in lines).encode())
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


@pytest.mark.parametrize("line", ["hello", "[1]", '{"image_id": "1", "filename": "a", "tags": []}', "[" * 100_000])
async def test_other_lines_are_not_images(client_of, line):
    client = await client_of(listing(line, LINES[0], TOTALS))
    with pytest.raises(UnexpectedAnswerError):
        async for _ in client.images():
            pass


async def test_a_line_without_end_is_cut(client_of):
    client = await client_of(listing("x" * 2**22))
    with pytest.raises(UnexpectedAnswerError):
        async for _ in client.images():
            pass
