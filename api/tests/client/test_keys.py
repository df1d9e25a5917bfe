"""Keys: sent to the service and to nobody else, and never repeated in a text."""

import subprocess
import sys
import traceback

import pytest
from aiohttp import web

from kt_images.client import (
    Attachment,
    Client,
    ClientError,
    ForbiddenError,
    InvalidAddressError,
    InvalidKeyError,
    IssuedKey,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    addresses,
)
from kt_images.client.keys import checksum, key_id

BODY = "kti_0aZ9Qw3x_" + "k" * 43
KEY = f"{BODY}_{checksum(BODY)}"
IMAGE = {"image_id": 1, "filename": "a.png", "tags": []}


def telling(seen, answer=None):
    async def handle(request):
        await request.read()
        seen.append((request.path, request.headers.getall("Authorization", [])))
        return answer(request) if answer else web.json_response(IMAGE)

    return handle


@pytest.fixture
async def served(aiohttp_server):
    """Start a server with one handler for everything; give its address."""

    async def start(handler):
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", handler)
        return str((await aiohttp_server(application)).make_url("")).rstrip("/")

    return start


async def test_the_key_is_sent_with_each_request(served):
    seen = []
    address = await served(telling(seen))
    async with Client(address, key=KEY) as client:
        await client.image(1)
        await client.upload(b"x", "a")
        await client.media(1, "a")
        await client.delete(1)
        with pytest.raises(ClientError):
            await anext(client.images())
    assert len(seen) == 5
    assert {tuple(sent) for _, sent in seen} == {(f"Bearer {KEY}",)}
    seen.clear()
    async with Client(address) as client:
        await client.image(1)
    assert seen == [("/images/1", [])]


async def test_no_redirect_takes_the_key_to_another_origin(served):
    elsewhere_seen, seen = [], []
    elsewhere = await served(telling(elsewhere_seen, lambda _: web.Response(body=b"bytes")))

    def away(request):
        if request.path.startswith("/media/1/near") and "hop" not in request.query:
            raise web.HTTPFound("/media/1/near?hop=1")
        if request.path.startswith("/media/1/near"):
            return web.Response(body=b"bytes")
        raise web.HTTPFound(f"{elsewhere}/media/1/a")

    address = await served(telling(seen, away))
    attachment = Attachment(1, "a", "image/png", 5, "0" * 64, 1, 1)
    async with Client(address, key=KEY) as client:
        assert await client.media(1, "a") == b"bytes"
        with pytest.raises(ClientError):
            assert [chunk async for chunk in client.chunks(attachment)]
        assert elsewhere_seen == [("/media/1/a", [])] * 2
        assert await client.media(1, "near") == b"bytes"
    assert all(sent == [f"Bearer {KEY}"] for _, sent in seen)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_sent_once(served, status):
    seen = []
    headers = {"WWW-Authenticate": 'Bearer realm="kt-images"'} if status == 401 else {}
    answer = lambda _: web.json_response({"error": "No"}, status=status, headers=headers)  # noqa: E731
    async with Client(await served(telling(seen, answer)), patience=60, key=KEY) as client:
        for call in (client.image(1), client.create("a"), client.upload(b"x", "a"), client.delete_many(tag="a")):
            with pytest.raises(UnauthorizedError if status == 401 else ForbiddenError, match=r"^No$"):
                await call
    assert len(seen) == 4


async def test_a_proxy_that_wants_a_password_wants_no_key(served):
    answer = lambda _: web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})  # noqa: E731
    async with Client(await served(telling([], answer)), key=KEY) as client:
        with pytest.raises(RefusedError, match="The service answers 401") as caught:
            await client.image(1)
    assert not isinstance(caught.value, UnauthorizedError)


@pytest.mark.parametrize(
    "key",
    ["", "x", KEY[:-1], KEY + "\n", KEY + "\r\nX: y", KEY.replace("k", "é", 1), KEY.replace("kk", "kj", 1), " " + KEY],
)
def test_a_misspelt_key_is_refused_and_not_repeated(key):
    with pytest.raises(InvalidKeyError) as caught:
        Client("http://localhost", key=key)
    assert "kkkk" not in "".join(traceback.format_exception(caught.value))


def test_a_key_and_a_password_exclude_each_other():
    with pytest.raises(InvalidAddressError) as caught:
        Client("http://me:secret@localhost", key=KEY)
    assert "secret" not in str(caught.value)


async def test_a_key_is_sent_in_spite_of_a_netrc(served, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen = []
    async with Client(await served(telling(seen)), key=KEY) as client:
        await client.image(1)
    assert seen == [("/images/1", [f"Bearer {KEY}"])]


async def test_a_key_goes_through_a_proxy(served, monkeypatch):
    seen = []
    monkeypatch.setenv("http_proxy", await served(telling(seen)))
    monkeypatch.delenv("no_proxy", raising=False)
    async with Client("http://photos.example", key=KEY) as client:
        await client.image(1)
    assert seen == [("/images/1", [f"Bearer {KEY}"])]


async def test_no_key_is_in_a_text(served):
    async with Client(await served(telling([])), key=KEY) as client:
        assert KEY not in repr(client) + str(client)
    async with Client("http://127.0.0.1:1", key=KEY) as client:
        with pytest.raises(ClientError) as caught:
            await client.image(1)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    issued = IssuedKey("0aZ9Qw3x", "a", ["read"], None, None, None, None, key=KEY)  # type: ignore[arg-type]
    assert KEY not in repr(issued) + str(issued)


def test_keys_are_written_as_the_service_writes_them():
    program = "from kt_images.access import secrets; print(*(secrets.make().text for _ in range(100)))"
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert len(made) == 100
    for key in made:
        assert key_id(key) == key[4:12]


async def test_keys_are_made_listed_rotated_and_revoked(client):
    made = await client.create_key("gallery", ["write", "read"])
    assert (made.name, made.scopes, made.expires_at, key_id(made.key)) == ("gallery", ["read", "write"], None, made.id)
    rotated = await client.rotate_key(made.id, 60)
    assert (rotated.id, rotated.key == made.key) == (made.id, False)
    assert [one.id for one in await client.keys()] == [made.id]
    await client.revoke_key(made.id)
    with pytest.raises(NotFoundError):
        await client.rotate_key(made.id)
    for bad in ("", "..", "../images/1", "a" * 9):
        with pytest.raises(InvalidKeyError):
            await client.revoke_key(bad)


@pytest.mark.parametrize(
    ("address", "is_overheard"),
    [
        ("localhost:8080", False),
        ("127.0.0.2", False),
        ("http://[::1]:8080", False),
        ("https://photos.example", False),
        ("photos.example", True),
        ("http://192.168.0.7:8080", True),
        ("http://localhost.example", True),
    ],
)
def test_who_can_overhear_a_key(address, is_overheard):
    assert addresses.is_overheard(addresses.parse(address)) == is_overheard
