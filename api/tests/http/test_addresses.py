"""Below the path of a proxy: every call is there, and every URL that is given out leads there."""

import json
from io import BytesIO

import pytest

from kt_images.application import PAGES, VIEWS
from kt_images.base_settings import BASE_PATH, OWN
from kt_images.http.addresses import FORWARDED, LONGEST
from pictures import JPEG

PICS = "/pics"
PATHS = [*VIEWS, *PAGES, "/oas/spec"]
QUERIES = {"/attachments": f"?sha256={'0' * 64}"}
HOSTILE = [
    "//evil.example", "/\\evil.example", "https://evil.example", "evil.example", "/a/../b", "/..", "/a/./b", "/a//b", "/a/", "/",
    "/a?b=c", "/a#b", "/%2e%2e", "/a b", "/a,/b", "/\u00e4", "/a;b", "javascript:alert(1)", "/" + "a" * LONGEST,
]  # fmt: skip


async def stored(client, start=""):
    """Store an image with an attachment; return the answers that have URLs."""
    created = await client.post(f"{start}/images", json={"filename": "a.jpg"})
    form = {"image": BytesIO(JPEG.read_bytes())}
    assert (await client.post(f"{start}/images/1/attachment/a.jpg", data=form)).status == 200
    return created


async def urls(client, start="", **headers):
    """All URLs that the service gives out."""
    created = await client.post(f"{start}/images", json={"filename": "b"}, headers=headers)
    form = {"image": BytesIO(JPEG.read_bytes())}
    duplicate = await client.post(f"{start}/images/upload?on_duplicate=reject", data=form, headers=headers)
    assert (created.status, duplicate.status) == (201, 409)
    found = await client.get(f"{start}/images/1/attachment/a.jpg", allow_redirects=False, headers=headers)
    home = await client.get(f"{start}/", allow_redirects=False, headers=headers)
    assert (found.status, home.status) == (302, 302)
    listed = await (await client.get(f"{start}/images/1/attachments", headers=headers)).json()
    sha256 = listed[0]["sha256"]
    by_bytes = await (await client.get(f"{start}/attachments?sha256={sha256}", headers=headers)).json()
    document = await (await client.get(f"{start}/oas/spec", headers=headers)).json()
    return [
        *(answer.headers["Location"] for answer in (created, duplicate, found, home)),
        *(one["url"] for one in listed + by_bytes),
        document["servers"][0]["url"],
    ]


@pytest.mark.parametrize("start", ["", PICS])
async def test_every_url_that_is_given_out_leads_below_the_path(serve, start):
    client = await serve(base_path=PICS)
    await stored(client, start)
    given = await urls(client, start)
    assert len(given) == 7
    for url in given:
        assert url.startswith(PICS)
        assert not url.startswith(PICS * 2)
        assert (await client.get(url)).status == 200, url


async def test_what_a_proxy_says_does_the_same_without_the_setting(client):
    await stored(client)
    before = await urls(client)
    after = await urls(client, **{FORWARDED: "/deep/er/pics"})
    assert after[1:-1] == [f"/deep/er/pics{url}" for url in before[1:-1]]
    assert (before[-1], after[-1]) == ("/", "/deep/er/pics")


async def test_the_setting_wins_over_what_a_client_says(serve):
    client = await serve(base_path=PICS)
    await stored(client)
    assert (await urls(client))[1:] == (await urls(client, **{FORWARDED: "/evil"}))[1:]


@pytest.mark.parametrize("said", HOSTILE)
async def test_what_is_no_path_is_as_if_it_were_not_said(client, said):
    await stored(client)
    assert (await urls(client))[1:] == (await urls(client, **{FORWARDED: said}))[1:]


async def test_what_a_proxy_says_opens_no_second_way_to_a_call(client):
    assert (await client.get("/pics/images", headers={FORWARDED: PICS})).status == 404


async def test_caches_are_told_that_an_answer_depends_on_the_path(serve, client):
    await stored(client)
    for path in ("/images/1/attachments", "/images/1/attachment/a.jpg", "/oas/spec", "/"):
        answer = await client.get(path, allow_redirects=False)
        assert FORWARDED in answer.headers["Vary"]
        below = await (await serve(base_path=PICS)).get(path, allow_redirects=False)
        assert FORWARDED not in below.headers.get("Vary", "")
    assert "Vary" not in (await client.get("/media/1/a.jpg")).headers


@pytest.mark.parametrize("path", PATHS)
async def test_every_call_is_there_with_the_path_and_without(serve, path):
    client = await serve(base_path="/a/b")
    await stored(client)
    url = path.replace("{image_id:[^/]+}", "1").replace("{filename:[^/]+}", "a.jpg") + QUERIES.get(path, "")
    for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"):
        if method == "DELETE" and path not in {"/", "/oas", "/images"}:
            continue  # there would be nothing left to compare
        plain = await client.request(method, url, allow_redirects=False)
        below = await client.request(method, f"/a/b{url}", allow_redirects=False)
        names = ("Content-Type", "Content-Security-Policy", "Location", "ETag", "Vary")
        assert below.status == plain.status, method
        assert [below.headers.get(name) for name in names] == [plain.headers.get(name) for name in names]
        assert set(below.headers.get("Allow", "").split(",")) == set(plain.headers.get("Allow", "").split(","))


async def test_the_path_itself_is_the_front_door(serve):
    client = await serve(base_path=PICS)
    for url in (PICS, f"{PICS}/", "/"):
        answer = await client.get(url, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, "/pics/oas")


@pytest.mark.parametrize(
    "path",
    [
        "/pics/pics/images",
        "/picsimages",
        "/pics//images",
        "/pics//evil.example",
        "/pics/nowhere",
        "/Pics/images",
        "/pics" * 1500,
    ],
)
async def test_what_only_looks_like_it_is_not_found(serve, path):
    client = await serve(base_path=PICS)
    answer = await client.get(path)
    assert (answer.status, set(await answer.json())) == (404, {"error"})


async def test_names_that_look_like_the_path_are_names(serve):
    client = await serve(base_path=PICS)
    await client.post("/images", json={"filename": "pics"})
    await client.post("/pics/images/1/attachment/pics", data={"image": BytesIO(JPEG.read_bytes())})
    assert (await client.get("/pics/media/1/pics")).status == 200


async def test_a_client_that_asks_first_is_asked_for_its_body_below_the_path_too(serve):
    client = await serve(base_path=PICS)
    answer = await client.post("/pics/images", json={"filename": "a"}, expect100=True)
    assert answer.status == 201


async def test_the_document_has_each_call_once(serve):
    plain, below = await serve(), await serve(base_path=PICS)
    documents = [await (await client.get("/oas/spec")).json() for client in (plain, below)]
    assert documents[0] | {"servers": 0} == documents[1] | {"servers": 0}
    assert "/pics/" not in json.dumps(documents[1])


async def test_nginx_finds_the_files_where_it_did(serve):
    client = await serve(base_path=PICS, accel_location="/_objects/")
    await stored(client)
    assert (await client.get("/pics/media/1/a.jpg")).headers["X-Accel-Redirect"].startswith("/_objects/")


def test_no_call_can_be_taken_for_the_path():
    assert {path.split("/")[1] for path in PATHS} - {""} <= OWN


@pytest.mark.parametrize("path", HOSTILE[:-1])
def test_the_path_s_grammar_has_no_way_out(path):
    assert not BASE_PATH.fullmatch(path)
