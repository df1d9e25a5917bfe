"""The Python client, against the service as a process and against services that are not to be trusted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from kt_images.client import Client
from services import Service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(service.url) as opened:
        yield opened


@pytest.fixture
async def client_of(aiohttp_server: Any) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Start a service with the routes given as `GET=…`-like pairs of path and handler; give its client."""
    opened: list[Client] = []

    async def start(*routes: tuple[str, str, Any], patience: float = 5.0) -> Client:
        application = web.Application()
        for method, path, handler in routes:
            application.router.add_route(method, path, handler)
        server = await aiohttp_server(application)
        client = Client(str(server.make_url("")), patience)
        opened.append(await client.__aenter__())
        return client

    yield start
    for client in opened:
        await client.__aexit__()
