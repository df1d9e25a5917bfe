"""The gallery's page and its files, as a browser gets them."""

import gzip
import re

import pytest
from aiohttp import hdrs

from kt_images.gallery import assets

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
# What the page may weigh as it is sent, so that it opens at once on a telephone.
MOST_BYTES = 80_000

POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' blob:",
    "connect-src": "'self'", "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}  # fmt: skip


async def page(client, path="/", **headers):
    answer = await client.get(path, headers=HTML | headers)
    assert answer.status == 200
    return answer, await answer.text()


def references(text):
    return re.findall(r'(?:href|src)="([^"#]*/gallery/[^"]+)"', text)


async def test_browsers_get_the_page_and_others_the_documentation(client):
    answer, text = await page(client)
    assert (answer.content_type, "<kt-grid>" in text) == ("text/html", True)
    other = await client.get("/", allow_redirects=False)
    assert (other.status, other.headers["Location"]) == (302, "/oas")
    assert "Accept" in answer.headers["Vary"]
    assert "Accept" in other.headers["Vary"]


async def test_the_address_may_have_a_search(client):
    assert (await page(client, "/?tags_all=sea&before=12&whatever=1"))[0].status == 200


async def test_everything_the_page_names_is_there_and_never_changes(client):
    _, text = await page(client)
    found = references(text)
    assert len(found) > 20
    for url in found:
        answer = await client.get(url)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
        assert re.search(r"-[0-9a-f]{8}\.(js|css|svg)$", url)
        named = re.findall(r'from "\./([^"]+)"|import "\./([^"]+)"', await answer.text())
        assert {one or other for one, other in named} <= set(assets.files())


async def test_a_module_that_changes_changes_the_names_of_those_that_import_it(monkeypatch):
    def published():
        assets._published.cache_clear()
        return {own: name for own, (name, _) in assets._published().items()}

    before, source = published(), assets._source
    monkeypatch.setattr(assets, "_source", lambda name: source(name) + ("\nlet more;" if name == "dom.js" else ""))
    after = published()
    monkeypatch.undo()
    assert published() == before
    changed = {own for own in before if before[own] != after[own]}
    assert {"dom.js", "tile.js", "grid.js", "app.js"} <= changed
    assert not {"query.js", "base.css"} & changed


@pytest.mark.parametrize("path", ["/", "/gallery/none.js"])
async def test_the_policy_allows_nothing_but_the_service_itself(client, path):
    path = next(f"/gallery/{name}" for name in assets.files()) if "none" in path else path
    answer = await client.get(path, headers=HTML)
    said = dict(one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";"))
    assert said == POLICY


async def test_nothing_in_the_page_needs_more_than_the_policy_allows(client):
    _, text = await page(client)
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:|https?://", text)
    for name, asset in assets.files().items():
        code = asset.body.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", code), (
            name
        )


async def test_the_whole_weighs_little(client):
    whole = [assets.page(""), *assets.files().values()]
    assert sum(len(one.compressed) for one in whole) < MOST_BYTES
    for one in whole:
        assert gzip.decompress(one.compressed) == one.body


async def test_it_is_sent_compressed_to_those_who_can_read_it(client):
    url = references((await page(client))[1])[0]
    for path in ("/", url):
        small = await client.get(path, headers=HTML | {"Accept-Encoding": "br, gzip"}, auto_decompress=False)
        large = await client.get(path, headers=HTML | {"Accept-Encoding": "identity"})
        assert (small.headers["Content-Encoding"], hdrs.CONTENT_ENCODING in large.headers) == ("gzip", False)
        assert "Accept-Encoding" in small.headers["Vary"]
        assert gzip.decompress(await small.read()) == await large.read()


async def test_a_browser_that_has_it_gets_no_second_copy(client):
    answer, _ = await page(client)
    assert answer.headers["Cache-Control"] == "no-cache"
    again = await client.get("/", headers=HTML | {"If-None-Match": answer.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


async def test_below_a_path_everything_is_below_it(client, serve):
    below = await serve(base_path="/pics")
    for answer, text in (await page(below, "/pics"), await page(client, "/", **{"X-Forwarded-Prefix": "/pics"})):
        assert "X-Forwarded-Prefix" in answer.headers["Vary"] or answer.url.path == "/pics"
        assert all(url.startswith("/pics/gallery/") for url in references(text))
    assert (await below.get(references((await page(below, "/pics"))[1])[0])).status == 200


async def test_prefixes_that_nobody_has_do_not_fill_the_memory(client):
    for number in range(40):
        await page(client, "/", **{"X-Forwarded-Prefix": f"/a{number}"})
    assert assets.page.cache_info().currsize <= 16


@pytest.mark.parametrize("name", ["app.js", "page.html", "..%2fassets.py", "app-00000000.js"])
async def test_no_other_file_can_be_had(client, name):
    assert (await client.get(f"/gallery/{name}")).status == 404
