"""/keys: what a key can make, and that one ends when it is told to."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from kt_images.access import gate, keyring, secrets, usage
from kt_images.base_settings import Access
from kt_images.database import keys
from kt_images.errors import UnknownKeyError

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def _no_keys(pool, monkeypatch):
    await pool.query("truncate keys")
    monkeypatch.setattr(gate, "DELAY_SECONDS", 0.0)


def bearing(key):
    return {"Authorization": f"Bearer {key['key']}"}


async def test_a_key_is_shown_once_and_listed_without_its_secret(client, made):
    key = await made("write", "read")
    assert [*key] == ["id", "name", "scopes", "created_at", "expires_at", "last_used_at", "created_by", "key"]
    assert (key["scopes"], key["expires_at"], key["created_by"]) == (["read", "write"], None, None)
    (listed,) = await (await client.get("/keys")).json()
    assert listed == {name: value for name, value in key.items() if name != "key"}


async def test_an_answer_with_a_secret_is_kept_by_no_cache(client):
    answer = await client.post("/keys", json={"name": "a", "scopes": ["read"]})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": "a"}, {"name": "a", "scopes": []}, {"name": "", "scopes": ["read"]}, {"name": "a", "scopes": ["all"]},
        {"name": "a\n", "scopes": ["read"], "key": "x"}, {"name": "a", "scopes": "read"}, {"name": "a\0b", "scopes": ["read"]},
        {"name": "a", "scopes": ["read"], "expires_at": "2000-01-01T00:00:00Z"},
        {"name": "a", "scopes": ["read"], "expires_at": "2999-01-01T00:00:00"},
        {"name": "a", "scopes": ["read"], "expires_at": "9999-12-31T23:59:59-14:00"},
        {"name": "\u202egnp", "scopes": ["read"]}, {"name": "\u200b", "scopes": ["read"]},
        {"name": "a", "scopes": ["read"], "expires_at": "soon"}, {"name": "x" * 101, "scopes": ["read"]},
    ],
)  # fmt: skip
async def test_a_bad_wish_is_refused(client, body):
    assert (await client.post("/keys", json=body)).status == 400


async def test_a_key_gives_no_more_than_it_has(serve, made):
    client = await serve(access=Access.KEYS)
    end = datetime.now(UTC) + HOUR
    admin = bearing(await made("read", "admin", expires_at=end.isoformat()))

    async def make(status, **wanted):
        answer = await client.post("/keys", json={"name": "b", **wanted}, headers=admin)
        assert answer.status == status, await answer.text()
        return await answer.json()

    await make(403, scopes=["write"])
    await make(403, scopes=["read"], expires_at=(end + HOUR).isoformat())
    inherited = await make(201, scopes=["read"])
    assert datetime.fromisoformat(inherited["expires_at"]) == end
    assert inherited["created_by"]
    shorter = await make(201, scopes=["read"], expires_at=(end - HOUR / 2).isoformat())
    assert datetime.fromisoformat(shorter["expires_at"]) == end - HOUR / 2
    for other in (await made("write"), await made("read")):  # the second never ends
        answer = await client.post(f"/keys/{other['id']}/rotate", headers=admin)
        assert answer.status == 403


async def test_a_revoked_key_ends_at_once_here_and_soon_elsewhere(serve, made, monkeypatch):
    monkeypatch.setattr(keyring, "SECONDS", 1.0)
    here, elsewhere = await serve(access=Access.KEYS), await serve(access=Access.KEYS)
    admin, key = bearing(await made("admin", "read")), await made("read")
    for client in (here, elsewhere):
        assert (await client.get("/images", headers=bearing(key))).status == 200
    assert (await here.delete(f"/keys/{key['id']}", headers=admin)).status == 204
    assert (await here.get("/images", headers=bearing(key))).status == 401
    async with asyncio.timeout(20):
        while (await elsewhere.get("/images", headers=bearing(key))).status != 401:
            await asyncio.sleep(0.1)
    assert (await here.delete(f"/keys/{key['id']}", headers=admin)).status == 404


async def test_a_rotated_key_has_two_secrets_for_a_while(serve, made, monkeypatch):
    monkeypatch.setattr(keyring, "AGAIN_SECONDS", 0.0)
    here, elsewhere = await serve(access=Access.KEYS), await serve(access=Access.KEYS)
    admin, key = bearing(await made("admin", "read")), await made("read")
    assert (await elsewhere.get("/images", headers=bearing(key))).status == 200
    answer = await here.post(f"/keys/{key['id']}/rotate", json={"overlap_seconds": 2}, headers=admin)
    new = await answer.json()
    assert (answer.status, new["id"], new["scopes"]) == (200, key["id"], ["read"])
    for client in (here, elsewhere):
        for one in (key, new):
            assert (await client.get("/images", headers=bearing(one))).status == 200
    await asyncio.sleep(2.1)
    for client in (here, elsewhere):
        assert (await client.get("/images", headers=bearing(key))).status == 401
        assert (await client.get("/images", headers=bearing(new))).status == 200


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(client, serve, made):
    guarded = await serve(access=Access.KEYS)
    admin, key = bearing(await made("admin", "read")), await made("read")
    assert (await guarded.get("/images", headers=bearing(key))).status == 200
    assert (await guarded.post(f"/keys/{key['id']}/rotate", headers=admin)).status == 200
    assert (await guarded.get("/images", headers=bearing(key))).status == 401
    for overlap in (-1, 10**9, "1", None):
        answer = await client.post(f"/keys/{key['id']}/rotate", json={"overlap_seconds": overlap})
        assert answer.status == 400, overlap


@pytest.mark.parametrize("key", ["00000000", "x", "0" * 9, "%00", "é"])
async def test_a_key_that_is_not_there_is_404(client, key):
    assert (await client.delete(f"/keys/{key}")).status == 404
    assert (await client.post(f"/keys/{key}/rotate")).status == 404


async def test_the_last_use_is_noted(serve, made, pool):
    client = await serve(access=Access.KEYS)
    admin = await made("admin")
    (listed,) = await (await client.get("/keys", headers=bearing(admin))).json()
    assert listed["last_used_at"] is None
    await usage.note(pool, client.app[gate.KEYRING])
    (listed,) = await (await client.get("/keys", headers=bearing(admin))).json()
    first = datetime.fromisoformat(listed["last_used_at"])
    assert datetime.now(UTC) - first < timedelta(minutes=1)
    await usage.note(pool, client.app[gate.KEYRING])
    (listed,) = await (await client.get("/keys", headers=bearing(admin))).json()
    assert datetime.fromisoformat(listed["last_used_at"]) == first  # once a minute


async def test_there_are_no_more_keys_than_can_be_listed(client, made, monkeypatch):
    monkeypatch.setattr(keys, "MOST", 2)
    await made("read")
    await made("read")
    assert (await client.post("/keys", json={"name": "c", "scopes": ["read"]})).status == 409


async def test_keys_made_at_once_are_all_made(client):
    answers = await asyncio.gather(
        *(client.post("/keys", json={"name": f"{number}", "scopes": ["read"]}) for number in range(20))
    )
    assert {answer.status for answer in answers} == {201}
    assert len({(await answer.json())["id"] for answer in answers}) == 20


async def test_who_has_lost_the_right_to_make_keys_makes_none_elsewhere(serve, made):
    here, elsewhere = await serve(access=Access.KEYS), await serve(access=Access.KEYS)
    admin, thief = bearing(await made("admin")), await made("admin")
    assert (await elsewhere.get("/keys", headers=bearing(thief))).status == 200
    assert (await here.delete(f"/keys/{thief['id']}", headers=admin)).status == 204
    answer = await elsewhere.post("/keys", json={"name": "b", "scopes": ["admin"]}, headers=bearing(thief))
    assert answer.status == 401


async def test_a_key_that_ends_while_it_is_looked_up_is_not_remembered(made, pool, serve):
    client = await serve(access=Access.KEYS)
    secret = secrets.parse((await made("read"))["key"])
    ring, found, go = client.app[gate.KEYRING], asyncio.Event(), asyncio.Event()
    ask = ring._find

    async def slowly(key_id):
        known = await ask(key_id)
        found.set()
        await go.wait()
        return known

    ring._find = slowly
    first = asyncio.create_task(ring.holder(secret))
    await found.wait()
    await keys.revoke(pool, secret.key_id)
    ring.forget(secret.key_id)
    go.set()
    assert (await first).key_id == secret.key_id  # it came before
    with pytest.raises(UnknownKeyError):
        await ring.holder(secret)


async def test_an_import_ends_soon_after_its_key(serve, made, monkeypatch):
    monkeypatch.setattr(keyring, "SECONDS", 0.0)
    client = await serve(access=Access.KEYS)
    admin, key = bearing(await made("admin")), await made("write")

    async def lines():
        for number in range(100):
            yield b'{"filename": "%d.jpg"}\n' % number
            if number == 1:
                await asyncio.sleep(1)
                assert (await client.delete(f"/keys/{key['id']}", headers=admin)).status == 204
            await asyncio.sleep(0.1)

    headers = bearing(key) | {"Content-Type": "application/x-ndjson"}
    with pytest.raises(aiohttp.ClientError):
        async with client.session.post(client.make_url("/images"), data=lines(), headers=headers) as answer:
            async for line in answer.content:
                assert b"totalLines" not in line


async def test_what_needed_a_key_is_kept_by_no_shared_cache(serve, made):
    client = await serve(access=Access.KEYS)
    answer = await client.get("/images/count", headers=bearing(await made("read")))
    assert answer.headers["Cache-Control"] == "private, no-store"
