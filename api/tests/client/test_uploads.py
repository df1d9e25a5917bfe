"""A file on its way to the service: whole, under its name, or an error."""

import hashlib

import pytest
from aiohttp import web

from kt_images.client import Client, ClientError, ConnectionBrokenError, RefusedError
from kt_images.client.uploads import PIECE
from pictures import drawn

PNG = drawn("PNG")
IMAGE = {"image_id": 1, "filename": "a.png", "tags": []}


class Witness:
    """Takes uploads and remembers them."""

    def __init__(self):
        self.forms, self.requests = [], 0

    async def answer(self, request):
        self.requests += 1
        form = await request.post()
        image = form["image"]
        self.forms.append((image.filename, image.file.read(), form.getall("tags", [])))
        assert request.content_length
        return web.json_response(IMAGE, status=201)


@pytest.fixture
def witness():
    return Witness()


@pytest.fixture
async def client_of_witness(client_of, witness):
    return await client_of(("POST", "/images/upload", witness.answer))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5])
@pytest.mark.parametrize("in_memory", [False, True])
async def test_a_file_of_any_size_arrives_whole(client_of_witness, witness, tmp_path, size, in_memory):
    content, moved = (b"0123456789" * (size // 10 + 1))[:size], []
    path = tmp_path / "a.png"
    path.write_bytes(content)
    await client_of_witness.upload(content if in_memory else path, "ä.png", ["x", "я"], progress=moved.append)
    assert witness.forms == [("ä.png", content, ["x", "я"])]
    assert sum(moved) == size


@pytest.mark.parametrize(
    ("name", "tags"), [("\udcff.png", []), ("a\r\nb.png", []), ("a\0b.png", []), ("a.png", ["\udcff"])]
)
async def test_what_cannot_be_sent_is_an_error_and_nothing_is_sent(client_of_witness, witness, name, tags):
    with pytest.raises(ClientError, match="malformed"):
        await client_of_witness.upload(PNG, name, tags)
    if not tags:
        with pytest.raises(ClientError, match="malformed"):
            await client_of_witness.attach(1, PNG, name)
    assert witness.requests == 0


async def test_a_name_never_adds_a_header_or_a_field(client):
    with pytest.raises(RefusedError, match="filename"):
        await client.upload(PNG, 'a"; name="tags')  # stored under this very name, were it not for the next
        await client.upload(PNG, "a\\b.png", on_duplicate="create")
    assert [(image.filename, image.tags) async for image in client.images()] == [('a"; name="tags', [])]


async def test_a_file_that_becomes_shorter_is_not_stored(client, tmp_path):
    path = tmp_path / "a.bmp"
    path.write_bytes(drawn("BMP", (1000, 200)))

    def shorten(_):
        with path.open("r+b") as file:
            file.truncate(PIECE + 1)

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises((ConnectionBrokenError, RefusedError)):
        await client.upload(path, sha256=sha256, progress=shorten)
    assert [image async for image in client.images()] == []


async def test_bytes_that_must_be_sent_again_are_taken_back(client_of):
    attempts, moved = [], []

    async def flaky(request):
        await request.read()
        attempts.append(request)
        if len(attempts) == 1:
            return web.json_response({"error": "Not now"}, status=503)
        return web.json_response(IMAGE, status=201)

    client = await client_of(("POST", "/images/upload", flaky))
    await client.upload(b"x" * 1000, "a.png", progress=moved.append)
    assert (moved, sum(moved)) == ([1000, -1000, 1000], 1000)


async def test_a_proxy_of_the_environment_is_used(client_of, witness, monkeypatch):
    there = await client_of(("*", "/{rest:.*}", witness.answer))
    monkeypatch.setenv("http_proxy", there.media_url(1, "a").removesuffix("/media/1/a"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with Client("http://kt-images.invalid") as client:
        await client.upload(PNG, "a.png")
    assert witness.requests == 1


@pytest.mark.parametrize("where", ["NETRC", "HOME"])
async def test_a_password_in_the_netrc_is_used(client_of, monkeypatch, tmp_path, where):
    seen = []

    async def answer(request):
        seen.append(request.headers.get("Authorization"))
        return web.json_response(IMAGE)

    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv(where, str(tmp_path / ".netrc") if where == "NETRC" else str(tmp_path))
    client = await client_of(("GET", "/images/1", answer))
    await client.image(1)
    monkeypatch.delenv(where)
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    client = await client_of(("GET", "/images/1", answer))
    await client.image(1)
    assert seen == ["Basic YTpi", None]
