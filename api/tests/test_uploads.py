"""A file and its row: what is told to the client when the database's answer is lost."""

import asyncio
import ipaddress
import os

import aiohttp
import pytest

from kt_images.database import attachments
from kt_images.database.connection import Connection
from kt_images.errors import UnavailableError
from pictures import drawn

PNG = drawn("PNG")
CALLS = [("/images/upload", "commit"), ("/images/1/attachment/a", attachments.PUT)]


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "example.jpg"})
    return client


async def upload(client, url):
    form = aiohttp.FormData()
    form.add_field("image", PNG, filename="a")
    answer = await client.post(url, data=form)
    return answer.status


def files(settings):
    return [name for _, _, names in os.walk(settings.uploads_dir / "objects") for name in names]


def broken(monkeypatch, statement, happens, then_gone=False):
    """Have the connection break at the statement, after it happened or before; `then_gone`: and all that follow."""
    original, state = Connection.query, {"broken": False}

    async def query(self, sql, parameters=None):
        if sql == statement and not state["broken"]:
            state["broken"] = True
            if happens:
                await original(self, sql, parameters)
            self.close()
            raise UnavailableError
        if state["broken"] and then_gone:
            raise UnavailableError
        return await original(self, sql, parameters)

    monkeypatch.setattr(Connection, "query", query)


@pytest.mark.parametrize(("url", "statement"), CALLS)
async def test_a_row_that_was_written_though_the_answer_was_lost_is_acknowledged(image, monkeypatch, url, statement):
    broken(monkeypatch, statement, happens=True)
    assert await upload(image, url) in {200, 201}
    image_id = 2 if "upload" in url else 1
    assert await (await image.get(f"/media/{image_id}/a")).read() == PNG


@pytest.mark.parametrize(("url", "statement"), CALLS)
async def test_a_row_that_was_not_written_is_not_acknowledged_and_its_file_is_left_to_the_collector(
    image, settings, monkeypatch, url, statement
):
    broken(monkeypatch, statement, happens=False)
    assert await upload(image, url) == 503
    assert len(files(settings)) == 1
    assert (await (await image.get("/images")).json())[-1]["totalImages"] == 1
    assert await (await image.get("/images/1/attachments")).json() == []
    assert await upload(image, url) in {200, 201}


@pytest.mark.parametrize(("url", "statement"), CALLS)
async def test_what_cannot_be_known_is_not_acknowledged_and_the_file_stays(
    image, settings, monkeypatch, url, statement
):
    with monkeypatch.context() as outage:
        broken(outage, statement, happens=True, then_gone=True)
        assert await upload(image, url) == 503
    assert len(files(settings)) == 1
    image_id = 2 if "upload" in url else 1
    assert await (await image.get(f"/media/{image_id}/a")).read() == PNG


async def test_an_upload_without_an_answer_can_be_repeated(image, settings, monkeypatch):
    url = "/images/upload?on_duplicate=merge_tags"
    with monkeypatch.context() as outage:
        broken(outage, "commit", happens=True, then_gone=True)
        assert await upload(image, url) == 503
    assert await upload(image, url) == 200
    assert (await (await image.get("/images")).json())[-1]["totalImages"] == 2
    assert len(files(settings)) == 1


@pytest.mark.parametrize("proxies", [(), (ipaddress.ip_network("127.0.0.1/32"),)], ids=["direct", "behind a proxy"])
async def test_one_client_leaves_places_for_the_others(serve, proxies):
    client = await serve(max_uploads=4, body_timeout=15, trusted_proxies=proxies)
    head = (
        "POST /images/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 999\r\nX-Forwarded-For: {}\r\n\r\n"
    )

    async def begin(address):
        """Begin an upload; return what reads its status."""
        peer = "127.0.0.1" if proxies else address
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port, local_addr=(peer, 0))
        writers.append(writer)
        writer.write(head.format(address).encode())
        return asyncio.create_task(reader.readline())

    async def answered(address, number):
        """Begin so many uploads; return the statuses that come at once, where one comes."""
        waiting = [await begin(address) for _ in range(number)]
        await asyncio.wait(waiting, timeout=4, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.2)
        return [int(one.result().split()[1]) for one in waiting if one.done()]

    writers = []
    assert await answered("127.0.0.2", 4) == [503]
    assert await answered("127.0.0.3", 2) == [503]
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0.2)
    assert await upload(client, "/images/upload") == 201
