"""A browser's page signs in with a key: what the cookie may do, for how long, and whose page may use it."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import psycopg2
import pytest

from kt_images.access import gate, keyring, secrets, sessions
from kt_images.base_settings import Access
from kt_images.models.scopes import Scope
from sql import ask

OWN = {"Sec-Fetch-Site": "same-origin"}
IMAGE = {"json": {"filename": "a.jpg"}}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)


async def sign_in(client, key, headers=()):
    """Give the cookie, as the answer sets it."""
    answer = await client.post("/session", json={"key": key["key"]}, headers=OWN | dict(headers))
    assert answer.status == 200, await answer.text()
    client.session.cookie_jar.clear()  # each request below says what it sends
    return SimpleCookie(answer.headers["Set-Cookie"])["kt_images_session"]


def with_cookie(cookie, **headers):
    return {"Cookie": f"kt_images_session={getattr(cookie, 'value', cookie)}"} | OWN | headers


async def status(client, cookie, method="GET", path="/images", **given):
    return (await client.request(method, path, headers=with_cookie(cookie), **given)).status


async def test_a_key_is_exchanged_for_a_cookie_that_may_do_what_the_key_may(serve, made):
    client = await serve(access=Access.KEYS)
    cookie = await sign_in(client, await made("read", "write"))
    assert await status(client, cookie) == 200
    assert await status(client, cookie, "POST", **IMAGE) == 201
    assert await status(client, cookie, "DELETE", "/images/1") == 403
    assert (await client.get("/images")).status == 401


async def test_one_is_told_who_one_is_and_what_one_may_do(serve, made):
    every = [str(scope) for scope in Scope]
    key = await made("read", "write")
    nobody = {"signed_in": False, "key_id": None, "name": None, "expires_at": None}
    for access, free, with_key in (
        (Access.OPEN, every, every),
        (Access.KEYS_TO_WRITE, ["read"], ["read", "write"]),
        (Access.KEYS, [], ["read", "write"]),
    ):
        client = await serve(access=access)
        assert await (await client.get("/session")).json() == {"access": access, "scopes": free, **nobody}
        opened = await client.post("/session", json={"key": f" {key['key']}\n"}, headers=OWN)
        client.session.cookie_jar.clear()
        told = await opened.json()
        ends = datetime.fromisoformat(told.pop("expires_at")) - datetime.now(UTC)
        assert timedelta(days=29, hours=23) < ends <= timedelta(days=30)
        assert told == {"access": access, "signed_in": True, "key_id": key["id"], "name": "a test", "scopes": with_key}
        again = await (await client.get("/session", headers=with_cookie(opened.cookies["kt_images_session"]))).json()
        assert again.items() >= told.items()
        assert again["expires_at"] is not None
        by_key = await client.get("/session", headers={"Authorization": f"Bearer {key['key']}"})
        assert (await by_key.json()) == told | {"signed_in": False, "expires_at": None}
        assert by_key.headers["Cache-Control"] == "private, no-store"


async def test_the_cookie_is_seen_by_no_script_no_other_site_and_only_by_tls_behind_it(serve, made):
    key = await made("read")
    plain = await sign_in(await serve(access=Access.KEYS), key)
    assert (plain["httponly"], plain["samesite"], plain["path"], plain["secure"]) == (True, "Lax", "/", "")
    assert int(plain["max-age"]) == 30 * 24 * 3600
    below = await serve(access=Access.KEYS, base_path="/pics", allowed_hosts=())
    for headers in ({"X-Forwarded-Proto": "https"}, {"Origin": "https://pics.example"}):
        cookie = await sign_in(below, key, headers)
        assert (cookie["path"], cookie["secure"]) == ("/pics", True)
    assert await status(below, cookie, path="/pics/images") == 200


async def test_signing_out_has_the_browser_forget_the_cookie(serve, made):
    client = await serve(access=Access.KEYS)
    await client.post("/session", json={"key": (await made("read"))["key"]}, headers=OWN)
    assert (await client.get("/images")).status == 200  # the client keeps the cookie, as a browser does
    answer = await client.delete("/session", headers=OWN)
    assert (answer.status, answer.cookies["kt_images_session"]["max-age"]) == (204, "0")
    assert (await client.get("/images")).status == 401
    assert (await client.delete("/session", headers=OWN)).status == 204


@pytest.mark.parametrize("way", ["revoke", "rotate", "all"])
async def test_a_session_ends_with_its_key_here_at_once_and_elsewhere_soon(serve, made, dsn, monkeypatch, way):
    for module in (keyring, sessions):
        monkeypatch.setattr(module, "SECONDS", 0.5)
    monkeypatch.setattr(keyring, "AGAIN_SECONDS", 0.0)
    here, elsewhere = await serve(access=Access.KEYS), await serve(access=Access.KEYS)
    admin, key = {"Authorization": f"Bearer {(await made('admin', 'read'))['key']}"}, await made("read")
    cookie = await sign_in(here, key)
    for client in (here, elsewhere):
        assert await status(client, cookie) == 200
    if way == "revoke":
        await here.delete(f"/keys/{key['id']}", headers=admin)
    elif way == "rotate":
        await here.post(f"/keys/{key['id']}/rotate", headers=admin)
    else:
        ask(dsn, "truncate session_secret")
        await asyncio.sleep(0.5)
    answer = await here.get("/images", headers=with_cookie(cookie))
    assert (answer.status, await answer.json()) == (401, {"error": "The session has ended; sign in again"})
    await asyncio.sleep(0.5)
    assert await status(elsewhere, cookie) == 401
    # Of what needs no key, it is as if there were no cookie.
    told = await (await here.get("/session", headers=with_cookie(cookie))).json()
    assert (told["name"], told["scopes"]) == (None, [])


async def test_it_lives_as_long_as_the_secret_before_in_a_rotation_with_overlap(serve, made):
    client = await serve(access=Access.KEYS)
    admin, key = {"Authorization": f"Bearer {(await made('admin', 'read'))['key']}"}, await made("read")
    cookie = await sign_in(client, key)
    new = await (await client.post(f"/keys/{key['id']}/rotate", json={"overlap_seconds": 2}, headers=admin)).json()
    assert await status(client, cookie) == 200
    later = await sign_in(client, new)
    await asyncio.sleep(2.1)
    assert await status(client, cookie) == 401
    assert await status(client, later) == 200


async def test_it_ends_after_its_time_and_not_after_its_key(serve, made, monkeypatch):
    client = await serve(access=Access.KEYS)
    expires_at = datetime.now(UTC) + timedelta(seconds=90)
    cookie = await sign_in(client, await made("read", expires_at=expires_at.isoformat()))
    told = await (await client.get("/session", headers=with_cookie(cookie))).json()
    assert abs(datetime.fromisoformat(told["expires_at"]) - expires_at) < timedelta(seconds=2)
    monkeypatch.setattr(sessions, "LIFETIME", 1)
    short = await sign_in(client, await made("read"))
    assert await status(client, short) == 200
    await asyncio.sleep(2)
    assert await status(client, short) == 401


async def test_a_cookie_cannot_be_made_up(serve, made):
    client = await serve(access=Access.KEYS)
    read, admin = await made("read"), await made("admin")
    cookie = await sign_in(client, read)
    key_id, ends, mark, signature = cookie.value.split(".")
    other = (await sign_in(client, admin)).value.split(".")

    async def no_statement(_key_id):
        raise AssertionError("a forged cookie is looked up")

    client.app[gate.KEYRING]._find = no_statement
    forged = [
        "", "x", key_id, ".".join([key_id, ends, mark]), ".".join([key_id, ends, mark, "0" * 64]),
        ".".join([key_id, str(int(ends) + 1), mark, signature]), ".".join([admin["id"], ends, mark, signature]),
        ".".join([admin["id"], ends, other[2], signature]), ".".join([key_id, ends, mark, signature.upper()]),
        ".".join(["0" * 8, ends, mark, signature]), ".".join([key_id, "9" * 5000, mark, signature]), read["key"],
    ]  # fmt: skip
    for text in forged:
        assert await status(client, text) == 401, text
        assert (await client.get("/session", headers=with_cookie(text))).status == 200
    assert await status(client, cookie) == 200


async def test_the_cookie_tells_nothing_of_the_secret_and_no_log_has_either(serve, made, dsn, caplog):
    caplog.set_level(logging.DEBUG)
    client = await serve(access=Access.KEYS)
    key = await made("read")
    cookie = await sign_in(client, key)
    await status(client, cookie)
    await client.post("/session", json={"key": secrets.make(key["id"]).text}, headers=OWN)
    _, _, secret, checksum = key["key"].split("_")
    digest = secrets.parse(key["key"]).digest
    for part in (secret, checksum, digest[:16]):
        assert part not in cookie.value
    signer = ask(dsn, "select encode(secret, 'hex') from session_secret")[0][0]
    for part in (secret, cookie.value, cookie.value.split(".")[3], signer):
        assert part not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        {}, {"key": None}, {"key": 1}, {"key": ["a"]}, {"key": "a" * 201}, {"key": "", "name": "x"}, [], "a",
    ],
)  # fmt: skip
async def test_what_is_no_key_s_body_is_refused(serve, body):
    client = await serve(access=Access.KEYS)
    answer = await client.post("/session", json=body, headers=OWN)
    assert answer.status == 400
    assert "Set-Cookie" not in answer.headers


async def test_a_wrong_key_is_refused_slowly_in_the_service_s_words(serve, made, monkeypatch):
    client = await serve(access=Access.KEYS)
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.5)
    key = await made("read")
    for wrong in ("", "nonsense", secrets.make().text, secrets.make(key["id"]).text):
        started = time.monotonic()
        answer = await client.post("/session", json={"key": wrong}, headers=OWN)
        assert (answer.status, await answer.json()) == (
            401, {"error": "The key is not valid: it is misspelt or was revoked"}
        )  # fmt: skip
        assert time.monotonic() - started >= 0.5
        assert "Set-Cookie" not in answer.headers
    answer = await client.get("/session", headers={"Authorization": "Bearer nonsense"})
    assert answer.status == 401
    form = await client.post("/session", data={"key": key["key"]}, headers=OWN)
    assert form.status == 415


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://own"}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        # A listed site may call with a key; a cookie is not its own.
        ({"Origin": "http://listed.example", "Sec-Fetch-Site": "cross-site"}, 401),
        ({"Origin": "http://listed.example"}, 401),
    ],
)
async def test_a_cookie_changes_things_for_the_service_s_own_page_alone(serve, made, headers, expected):
    client = await serve(access=Access.KEYS, cors_origins=("http://listed.example",))
    cookie = await sign_in(client, await made("read", "write", "delete"))
    own = f"http://127.0.0.1:{client.port}"
    sent = {name: own if value == "http://own" else value for name, value in headers.items()}
    sent["Cookie"] = f"kt_images_session={cookie.value}"
    answer = await client.post("/images", headers=sent, **IMAGE)
    assert answer.status == expected
    assert "Access-Control-Allow-Credentials" not in answer.headers
    for method in ("PATCH", "DELETE"):
        answer = await client.request(method, "/images/9", headers=sent, **({"json": {}} if method == "PATCH" else {}))
        assert (answer.status in {401, 403}) == (expected != 201)
    # To read, a link from elsewhere will do, but no page of another origin that could see the answer.
    answer = await client.get("/images/count", headers=sent)
    assert answer.status == (401 if "Origin" in sent and sent["Origin"] != own else 200)


async def test_other_pages_neither_sign_in_nor_out(serve, made):
    client = await serve(access=Access.KEYS)
    key = await made("read")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        for method, body in (("POST", {"json": {"key": key["key"]}}), ("DELETE", {})):
            answer = await client.request(method, "/session", headers=headers, **body)
            assert answer.status == 403
            assert "Set-Cookie" not in answer.headers


async def test_what_is_read_by_a_session_is_kept_by_no_shared_cache(serve, made, client):
    await client.post("/images", json={"filename": "a.jpg"})
    guarded = await serve(access=Access.KEYS)
    cookie = await sign_in(guarded, await made("read"))
    answer = await guarded.get("/images/1", headers=with_cookie(cookie))
    assert answer.headers["Cache-Control"] == "private, no-store"


async def test_who_has_lost_the_right_to_make_keys_makes_none_by_a_session(serve, made):
    here, elsewhere = await serve(access=Access.KEYS), await serve(access=Access.KEYS)
    admin, thief = {"Authorization": f"Bearer {(await made('admin'))['key']}"}, await made("admin")
    cookie = await sign_in(elsewhere, thief)
    assert await status(elsewhere, cookie, path="/keys") == 200
    assert (await here.delete(f"/keys/{thief['id']}", headers=admin)).status == 204
    assert await status(elsewhere, cookie, "POST", "/keys", json={"name": "b", "scopes": ["admin"]}) == 401


def test_two_services_that_start_at_once_have_one_secret(new_database):
    dsn = new_database("sessions")
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("insert into session_secret default values on conflict do nothing")
        cursor.execute("insert into session_secret default values on conflict do nothing")
        cursor.execute("select length(secret) from session_secret")
        assert cursor.fetchall() == [(32,)]
    connection.close()
