"""Whoever stops the service can wait for the requests that are being answered."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kt_images.http.in_flight import InFlight


async def test_it_is_idle_once_the_last_request_is_answered():
    in_flight, gates = InFlight(), {"1": asyncio.Event(), "2": asyncio.Event()}

    async def handler(request):
        await gates[request.match_info["gate"]].wait()
        return web.Response()

    app = web.Application(middlewares=[in_flight.middleware])
    app.router.add_get("/{gate}", handler)
    async with TestClient(TestServer(app)) as client:
        await in_flight.idle()
        first, second = (asyncio.create_task(client.get(f"/{gate}")) for gate in gates)
        await asyncio.sleep(0.05)
        idle = asyncio.create_task(in_flight.idle())
        gates["1"].set()
        await first
        await asyncio.sleep(0.05)
        assert not idle.done()
        gates["2"].set()
        await second
        await asyncio.wait_for(idle, 5)
