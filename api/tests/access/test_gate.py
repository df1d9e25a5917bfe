"""Who gets in: each call with no key, a wrong one, one of too little scope and the right one, in every mode."""

import asyncio
import json
import logging
import subprocess
import sys
import time

import aiohttp
import psycopg2
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kt_images.access import gate, keyring, secrets
from kt_images.application import create_app
from kt_images.base_settings import Access
from kt_images.models.scopes import Scope
from pictures import drawn

ALL = [*Scope]
OPEN_PATHS = {"/healthz", "/readyz", "/", "/oas", "/oas/spec", "/session"}


@pytest.fixture
def new_key(dsn):
    """Make a key as whoever has the shell does; give its secret."""
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("truncate keys")
    connection.close()

    def make(*scopes, arguments=()):
        command = [sys.executable, "-m", "kt_images.manage.keys", "--postgres_dsn", dsn, "create", "a test"]
        made = subprocess.run(
            [*command, "--scopes", ",".join(scopes), *arguments], capture_output=True, text=True, check=True
        )
        return made.stdout.strip()

    return make


def bearing(secret):
    return {"Authorization": f"Bearer {secret}"}


async def signed_in(client, secret):
    """Open a session; give the headers that the service's own page then sends."""
    own = {"Sec-Fetch-Site": "same-origin"}
    answer = await client.session.post(client.make_url("/session"), json={"key": secret}, headers=own)
    assert answer.status == 200, await answer.text()
    client.session.cookie_jar.clear()
    return own | {"Cookie": f"kt_images_session={answer.cookies['kt_images_session'].value}"}


def all_calls(settings):
    """The calls of the application, with the scope that each declares."""
    calls = []
    for route in create_app(settings).router.routes():
        path = (
            route.resource.canonical.replace("{image_id}", "1").replace("{filename}", "a.jpg").replace("{id}", "0" * 8)
        )
        if isinstance(route.handler, type):
            methods = sorted(route.handler.allowed_methods - {"OPTIONS"})
            calls += [(method, path, getattr(route.handler, method.lower()).call.scope) for method in methods]
        else:
            calls.append((route.method, path, route.handler.call.scope))
    return calls


@pytest.mark.parametrize("access", [*Access])
async def test_each_call_of_the_application_is_open_only_to_those_who_may(
    serve, settings, new_key, monkeypatch, access
):
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)
    client = await serve(access=access)
    holders = {scope: new_key(scope) for scope in ALL}
    cookies = {scope: await signed_in(client, secret) for scope, secret in holders.items()}
    wrong = secrets.make().text
    calls = all_calls(settings)
    assert {scope for _, _, scope in calls} >= {*ALL, None} - {Scope.METRICS}
    for method, path, scope in calls:
        if scope is None:
            assert any(path == one or path.startswith("/oas") for one in OPEN_PATHS), path
        needs_key = scope is not None and scope not in gate.FREE[access]

        async def status(headers, method=method, path=path):
            # A body that no call takes: whoever gets in is told so, and nothing is deleted.
            async with client.session.request(
                method, client.make_url(f"{path}?no-such=1"), headers=headers, data=b"x", allow_redirects=False
            ) as answer:
                if answer.status == 401:
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                return answer.status

        refused = (401,) if needs_key else (200, 302, 400, 404, 415)
        assert await status({}) in refused, (method, path)
        assert await status(bearing(wrong)) in refused, (method, path)
        for of, secret in holders.items():
            got = await status(bearing(secret))
            assert (got == 403) == (needs_key and of != scope), (method, path, of, got)
            assert got != 401
            assert await status(cookies[of]) == got, (method, path, of)
        assert await status({**cookies[Scope.READ], "Cookie": cookies[Scope.READ]["Cookie"][:-1]}) in refused
        assert await status({**cookies[Scope.READ], **bearing(wrong)}) in refused  # a key wins over a session


def test_a_call_without_a_scope_is_refused(settings):
    async def undeclared(_request):
        return web.Response()

    app = create_app(settings.model_copy(update={"access": Access.OPEN}))
    app.router.add_get("/undeclared", undeclared)

    async def ask():
        async with TestClient(TestServer(app)) as client:
            answer = await client.get("/undeclared")
            return answer.status, await answer.json()

    assert asyncio.run(ask()) == (403, {"error": "Nobody may make this call"})


async def test_refusals_say_what_is_missing(serve, new_key, monkeypatch):
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)
    client = await serve(access=Access.KEYS)
    answer = await client.get("/images")
    assert (answer.status, await answer.json()) == (
        401, {"error": "This call needs a key, in the header Authorization: Bearer …; who runs the service makes keys"},
    )  # fmt: skip
    answer = await client.get("/images", headers=bearing("nonsense"))
    assert await answer.json() == {"error": "The key is not valid: it is misspelt or was revoked"}
    for wrong in ({"Authorization": new_key("read")}, {"Authorization": "Basic eDp5"}):
        answer = await client.get("/images", headers=wrong)
        assert answer.status == 401
        assert "in one header: Authorization: Bearer kti_…" in (await answer.json())["error"]
    answer = await client.post("/images", json={"filename": "a.jpg"}, headers=bearing(new_key("read")))
    assert answer.status == 403
    assert "lacks the scope write" in (await answer.json())["error"]


async def test_unknown_urls_and_methods_are_told_to_everybody(serve):
    client = await serve(access=Access.KEYS)
    assert (await client.get("/nothing")).status == 404
    assert (await client.put("/images")).status == 405


@pytest.mark.parametrize(
    "given",
    [
        "", "Bearer", "Bearer ", "Basic a2V5OmtleQ==", "Bearer kti_", "Bearer " + "x" * 5000, "bearer é",
        "Bearer kti_00000000_" + "0" * 43 + "_000000", "kti_only", "Bearer a b c",
    ],
)  # fmt: skip
async def test_a_hostile_header_is_no_key(serve, monkeypatch, given):
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)
    client = await serve(access=Access.KEYS)
    assert (await client.get("/images", headers={"Authorization": given})).status == 401


async def test_the_scheme_is_read_in_any_case_and_two_keys_are_none(serve, new_key, monkeypatch):
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)
    client = await serve(access=Access.KEYS)
    secret = new_key("read")
    assert (await client.get("/images", headers={"Authorization": f"bEARER  {secret} "})).status == 200
    assert (await client.get(f"/images?key={secret}")).status == 401
    twice = [("Authorization", f"Bearer {secret}"), ("Authorization", f"Bearer {secret}")]
    assert (await client.get("/images", headers=twice)).status == 401


async def test_a_change_without_a_filter_needs_admin(serve, new_key):
    client = await serve(access=Access.KEYS)
    write, both = new_key("write"), new_key("write", "delete", "admin")
    change = {"json": {"add_tags": ["a"]}}
    assert (await client.patch("/images?all=true", headers=bearing(write), **change)).status == 403
    assert (await client.patch("/images?tag=b", headers=bearing(write), **change)).status == 200
    assert (await client.patch("/images?all=true", headers=bearing(both), **change)).status == 200
    assert (await client.delete("/images?all=true", headers=bearing(both))).status == 200


async def test_the_body_is_not_asked_for_before_the_key_is_known(serve):
    client = await serve(access=Access.KEYS)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()


async def test_guessing_is_slow_and_costs_others_nothing(serve, new_key, pool):
    client = await serve(access=Access.KEYS, pool_size=1)
    secret = new_key("read")
    assert (await client.get("/images/count", headers=bearing(secret))).status == 200
    started = time.monotonic()

    async def guess():
        answer = await client.get("/images/count", headers=bearing(secrets.make().text))
        return answer.status, time.monotonic() - started

    guesses = [asyncio.create_task(guess()) for _ in range(100)]
    honest = []
    while time.monotonic() - started < gate.DELAY_SECONDS * 0.8:
        asked = time.monotonic()
        assert (await client.get("/images/count", headers=bearing(secret))).status == 200
        assert (await client.get("/healthz")).status == 200
        honest.append(time.monotonic() - asked)
        await asyncio.sleep(0.02)
    for status, seconds in await asyncio.gather(*guesses):
        assert status == 401
        assert seconds >= gate.DELAY_SECONDS
    assert min(honest) < gate.DELAY_SECONDS  # the machine may hold one up, but not all


async def test_more_guesses_than_may_wait_are_refused_at_once(serve, monkeypatch):
    monkeypatch.setattr(gate, "MOST_DELAYED", 2)
    monkeypatch.setattr(gate, "DELAY_SECONDS", 3.0)
    client = await serve(access=Access.KEYS)
    guesses = [asyncio.create_task(client.get("/images", headers=bearing("x"))) for _ in range(5)]
    await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(1)
    assert sum(one.done() for one in guesses) == 3
    assert {(await one).status for one in guesses} == {401}


async def test_a_key_that_is_known_outlives_the_database_for_a_moment(serve, new_key, settings):
    client = await serve(access=Access.KEYS)
    secret = new_key("read")
    assert (await client.get("/oas/spec", headers=bearing(secret))).status == 200
    assert (await client.get("/images/count", headers=bearing(secret))).status == 200

    async def away(_key_id):
        raise AssertionError("it is known")

    client.app[gate.KEYRING]._find = away
    assert (await client.get("/images/count", headers=bearing(secret))).status == 200


async def test_an_expired_key_says_so(serve, new_key, monkeypatch):
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)
    client = await serve(access=Access.KEYS)
    secret = new_key("read", arguments=["--expires", "3s"])
    assert (await client.get("/images", headers=bearing(secret))).status == 200
    async with asyncio.timeout(20):
        while (answer := await client.get("/images", headers=bearing(secret))).status == 200:
            await asyncio.sleep(0.1)
    assert (answer.status, await answer.json()) == (
        401,
        {"error": "The key has expired; who runs the service makes keys"},
    )


async def test_the_head_of_media_is_private_where_reading_needs_a_key(serve, new_key):
    client = await serve(access=Access.KEYS)
    headers = bearing(new_key("read", "write"))
    form = aiohttp.FormData()
    form.add_field("image", drawn("JPEG"), filename="a.jpg")
    assert (await client.post("/images/upload", data=form, headers=headers)).status == 201
    (found,) = await (await client.get("/images/1/attachments", headers=headers)).json()
    answer = await client.get(found["url"], headers=headers)
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_the_keyring_holds_no_more_than_it_may(monkeypatch):
    monkeypatch.setattr(keyring, "MOST", 3)

    async def nobody(_key_id):
        return None

    async def run():
        ring = keyring.Keyring(nobody)
        for _ in range(10):
            with pytest.raises(keyring.UnknownKeyError):
                await ring.holder(secrets.make())
        return len(ring._known)

    assert asyncio.run(run()) == 3


async def test_no_secret_is_in_the_log_the_answers_or_the_database(serve, new_key, dsn, caplog, monkeypatch):
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)
    caplog.set_level(logging.DEBUG)
    client = await serve(access=Access.KEYS)
    secret = new_key("read", "admin")
    paths = ("/images", "/keys", "/nothing", "/images/0", "/keys/00000000/rotate")
    asked = [(method, client.make_url(path)) for path in paths for method in ("GET", "POST", "DELETE")]
    answers = [await client.session.request(*one, headers=bearing(secret)) for one in asked]
    texts = [await answer.text() for answer in answers]
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select json_agg(keys)::text from keys")
        texts.append(cursor.fetchone()[0])
    connection.close()
    assert secrets.parse(secret).key_id in texts[-1]
    assert secret[13:56] not in json.dumps(texts) + caplog.text
