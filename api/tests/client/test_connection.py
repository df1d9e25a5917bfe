"""What another service can do to the client: nothing but an error."""

import asyncio
import contextlib
import time
import zlib

import pytest
from aiohttp import web

from kt_images.client import (
    Client,
    ClientError,
    ConnectionBrokenError,
    InvalidAddressError,
    NotFoundError,
    RefusedError,
    UnexpectedAnswerError,
    UnreachableError,
)

IMAGE = {"image_id": 1, "filename": "a.png", "tags": []}


def answering(body, status=200, **headers):
    async def answer(_request):
        return web.Response(body=body, status=status, headers=headers)

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_but_those_of_media(client_of, status):
    seen = []

    async def witness(request):
        seen.append(request.method)
        return web.Response(body=b"bytes")

    elsewhere = await client_of(("*", "/{rest:.*}", witness))
    away = answering(b"", status, Location=elsewhere.media_url(1, "a"))
    client = await client_of(("*", "/{rest:.*}", away))
    calls = (
        client.image(1),
        client.create("a.jpg"),
        client.change(1, tags=[]),
        client.delete(1),
        client.upload(b"x", "a"),
        client.attach(1, b"x", "a"),
        client.delete_attachment(1, "a"),
        client.attachments(1),
        client.find_attachments(["0" * 64]),
        anext(client.images()),
    )
    for call in calls:
        with pytest.raises(UnexpectedAnswerError, match="redirects to http"):
            await call
    assert seen == []
    assert await client.media(1, "a") == b"bytes"
    assert seen == ["GET"]


async def endless(request):
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 2**20)


async def test_an_answer_without_end_is_cut(client_of):
    client = await client_of(("*", "/{rest:.*}", endless))
    for call in (client.image(1), client.attachments(1), client.media(1, "a", limit=2**22), anext(client.images())):
        with pytest.raises(UnexpectedAnswerError):
            await call


async def test_a_refusal_without_end_is_cut(client_of):
    client = await client_of(("GET", "/images/1", answering(b"x" * 2**20, 400)))
    with pytest.raises(UnexpectedAnswerError, match="larger than"):
        await client.image(1)


async def test_a_compressed_bomb_is_cut(client_of):
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeezed.compress(b" " * 2**20) for _ in range(200)) + squeezed.flush()
    client = await client_of(("*", "/{rest:.*}", answering(bomb, **{"Content-Encoding": "gzip"})))
    for call in (client.image(1), anext(client.images())):
        with pytest.raises(ClientError):
            await call


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"{}", b"null", b"\xff", b"[" * 200_000, b'{"image_id": 1, "filename": [], "tags": [1]}'],
)
async def test_another_body_is_not_an_image(client_of, body):
    client = await client_of(("*", "/{rest:.*}", answering(body)))
    with pytest.raises(UnexpectedAnswerError, match="is the address right"):
        await client.image(1)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 1}', b'{"error": "x", "details": [1]}', b"<html>"])
async def test_another_refusal_has_a_sentence_too(client_of, body):
    client = await client_of(("*", "/{rest:.*}", answering(body, 418)))
    with pytest.raises(RefusedError, match="The service answers 418"):
        await client.image(1)


@pytest.mark.parametrize("address", ["", "ftp://a", "http://", "http://a?b", "http://a#b", "http://[::1", "http://a:b"])
def test_a_malformed_address_is_refused_at_once(address):
    with pytest.raises(InvalidAddressError):
        Client(address)


async def test_a_service_that_was_never_reached_is_not_waited_for():
    before = time.monotonic()
    async with Client("http://127.0.0.1:1", patience=60) as client:
        with pytest.raises(UnreachableError, match="Connection refused"):
            await client.image(1)
    assert time.monotonic() - before < 30


class Flaky:
    """Answers 503 or breaks the connection so many times, and counts the requests."""

    def __init__(self, failures, *, breaks=False):
        self.failures, self.breaks, self.requests = failures, breaks, 0

    async def answer(self, request):
        await request.read()
        self.requests += 1
        if self.requests > self.failures:
            return web.json_response(IMAGE)
        if self.breaks:
            request.transport.abort()
            await asyncio.sleep(1)
        return web.json_response({"error": "Not now"}, status=503, headers={"Retry-After": "0"})


@pytest.mark.parametrize(("headers", "requests"), [({"Retry-After": "0"}, 3), ({}, 1)])
async def test_a_proxy_whose_service_is_gone_is_asked_again_and_a_statement_that_is_too_slow_is_not(
    client_of, headers, requests
):
    asked = []

    async def answer(request):
        asked.append(request.path)
        if len(asked) > 2:
            return web.json_response(IMAGE)
        return web.json_response({"error": "No answer"}, status=504, headers=headers)

    client = await client_of(("*", "/{rest:.*}", answer))
    with contextlib.nullcontext() if headers else pytest.raises(RefusedError, match="No answer"):
        await client.image(1)
    assert len(asked) == requests


@pytest.mark.parametrize("breaks", [False, True])
async def test_calls_that_are_safe_to_repeat_are_repeated(client_of, breaks):
    for call in (lambda c: c.image(1), lambda c: c.change(1, tags=[]), lambda c: c.upload(b"x", "a")):
        flaky = Flaky(2, breaks=breaks)
        client = await client_of(("*", "/{rest:.*}", flaky.answer))
        await call(client)
        assert flaky.requests == 3


@pytest.mark.parametrize("breaks", [False, True])
async def test_calls_that_could_do_their_work_twice_are_sent_once(client_of, breaks):
    for call in (lambda c: c.create("a.png"), lambda c: c.upload(b"x", "a", on_duplicate="create")):
        flaky = Flaky(1, breaks=breaks)
        client = await client_of(("*", "/{rest:.*}", flaky.answer))
        with pytest.raises((UnreachableError, ConnectionBrokenError)):
            await call(client)
        assert flaky.requests == 1


async def test_a_service_that_stays_away_is_reported_in_its_own_words(client_of):
    client = await client_of(("*", "/{rest:.*}", Flaky(10_000).answer), patience=0.3)
    with pytest.raises(UnreachableError, match="Not now"):
        await client.image(1)


async def test_a_request_that_breaks_each_connection_is_given_up(client_of):
    flaky = Flaky(10_000, breaks=True)
    client = await client_of(("*", "/{rest:.*}", flaky.answer), patience=3600)
    with pytest.raises(ConnectionBrokenError):
        await client.image(1)
    assert flaky.requests == 5


async def test_a_delete_whose_answer_was_lost_is_a_success(client_of):
    requests = []

    async def delete(request):
        requests.append(request)
        if len(requests) == 1:
            request.transport.abort()
            await asyncio.sleep(1)
        return web.json_response({"error": "Image <1> is not found"}, status=404)

    client = await client_of(("DELETE", "/images/1", delete))
    await client.delete(1)
    assert len(requests) == 2
    with pytest.raises(NotFoundError):
        await client.delete(1)
