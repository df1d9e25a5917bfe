"""A service below a path of another server, by a proxy that takes the path away: everything works as without."""

import asyncio
import hashlib

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from kt_images.client import Client, addresses
from pictures import drawn

KEPT = ("Content-Type", "Accept", "Range", "Repr-Digest", "Authorization")
ANSWERED = ("Content-Type", "Content-Range", "Location", "ETag")


@pytest.fixture
async def below(service, aiohttp_server):
    """Publish the service below /pics/ö, and nothing elsewhere; give the address."""

    async def forward(request):
        if not request.raw_path.startswith("/pics/%C3%B6/"):
            raise web.HTTPNotFound
        headers = {name: request.headers[name] for name in KEPT if name in request.headers}
        path = request.raw_path.removeprefix("/pics/%C3%B6")
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                URL(service.url + path, encoded=True),
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ) as answer,
        ):
            kept = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    application = web.Application(client_max_size=2**30)
    application.router.add_route("*", "/{rest:.*}", forward)
    server = await aiohttp_server(application)
    return str(server.make_url("/pics/ö"))


@pytest.mark.parametrize("end", ["", "/"])
async def test_the_client_works_below_a_path(below, tmp_path, end):
    content = drawn("PNG", (8, 8))
    async with Client(below + end) as client:
        uploaded = await client.upload(content, "a b.png", ["x"])
        image_id = uploaded.image.image_id
        (attachment,) = await client.attachments(image_id)
        assert await client.download(attachment, tmp_path / "copy.png")
        assert (tmp_path / "copy.png").read_bytes() == content
        assert await client.media(image_id, "a b.png") == content
        assert b"".join([chunk async for chunk in client.chunks(attachment)]) == content
        assert await client.media(image_id, "a b.png", width=320)
        (found,) = await client.find_attachments([hashlib.sha256(content).hexdigest()])
        assert found == attachment
        await client.attach(image_id, content, "c.png")
        await client.delete_attachment(image_id, "c.png")
        assert client.media_url(image_id, "a b.png") == f"{below}/media/{image_id}/a%20b.png"
        assert (await client.change(image_id, add_tags=["y"])).tags == ["x", "y"]
        assert [tag.tag async for tag in client.tags()] == ["x", "y"]
        assert (await client.rename_tag("y", "z")).changed == 1
        assert [image.tags async for image in client.images(tag="z")] == [["x", "z"]]
        assert (await client.delete_many(tag="z", expected=1)).changed == 1
        assert await client.count() == 0


async def test_the_command_line_works_below_a_path(below, cli, picture):
    async def run(*arguments, **options):
        result = await asyncio.to_thread(cli, *arguments, **options)
        assert result.status == 0, result.err
        return result.out

    cli.server = below.replace("%C3%B6", "ö")
    picture("a.png", 1)
    assert await run("add", "a.png", "--tag", "x", "--ids") == "1\n"
    assert await run("list", "--ids") == "1\n"
    await run("get", "1", "-o", "out")
    assert (cli.home / "out" / "1-a.png").read_bytes() == (cli.home / "a.png").read_bytes()
    address = (await run("open", "1", "--print")).strip()
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert await answer.read() == (cli.home / "a.png").read_bytes()
    await run("import", "-", stdin='{"filename": "b"}\n')
    assert await run("count") == "2\n"
    await run("rm", "1", "2", "--yes")


def test_a_key_is_for_one_path_however_it_is_written():
    names = {
        addresses.shown(addresses.parse(one))
        for one in ("http://A/pics/", "a/pics", "http://a:80/pics//", "http://me:secret@a/pics", "HTTP://a/%70ics")
    }
    assert names == {"http://a/pics"}
    assert addresses.shown(addresses.parse("http://a")) == "http://a"
