"""Errors as answers: a status for each, one format, nothing of the service's inside, nothing into half an answer."""

import asyncio
import inspect
import logging

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kt_images import errors
from kt_images.http import problems

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.KtImagesError) and kind is not errors.KtImagesError
]


@pytest.fixture
async def failing():
    """Give a function that serves a handler behind the middleware and returns a client."""
    clients = []

    async def serve(handler):
        app = web.Application(middlewares=[problems.middleware])
        app.router.add_get("/", handler)
        clients.append(TestClient(TestServer(app)))
        await clients[-1].start_server()
        return clients[-1]

    yield serve
    for client in clients:
        await client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status(kind):
    assert [status for known, status in problems.STATUSES if issubclass(kind, known)]


async def test_a_fault_of_the_service_is_logged_and_not_shown(failing, caplog):
    async def handler(_request):
        raise RuntimeError("secret")

    with caplog.at_level(logging.ERROR):
        answer = await (await failing(handler)).get("/")
    assert (answer.status, await answer.json()) == (500, {"error": "The service failed; its log says why"})
    assert "secret" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("secret"), errors.UnavailableError(), web.HTTPNotFound()])
async def test_an_error_after_the_first_byte_breaks_the_connection(failing, error):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0)
        raise error

    answer = await (await failing(handler)).get("/")
    assert answer.status == 200
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()


async def test_a_redirect_is_no_error(failing):
    async def handler(_request):
        raise web.HTTPFound("/elsewhere")

    answer = await (await failing(handler)).get("/", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


async def test_whoever_is_to_try_again_is_told_when(failing):
    async def handler(_request):
        raise errors.UnavailableError

    assert (await (await failing(handler)).get("/")).headers["Retry-After"] == "1"
