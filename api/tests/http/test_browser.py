"""A real browser shows pages of other sites, which try whatever a page can; and the service's own page, which may.

A listed site's page does the same as one that is not: so what is refused was sent, and not merely forgotten.
"""

import base64
import json
from contextlib import asynccontextmanager
from io import BytesIO

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from browser import browsing, needs_chromium
from pictures import drawn

pytestmark = needs_chromium

# What follows runs in the page. SERVICE and PICTURE are put before it.
TOOLS = """
const file = () => new File([Uint8Array.from(atob(PICTURE), c => c.charCodeAt(0))], name, {type: "image/jpeg"});
let name = "";
const form = () => { const made = new FormData(); made.append("image", file()); return made; };
const image = () => JSON.stringify({filename: name});
const shown = (element, attributes) => new Promise(resolve => {
    Object.assign(element, attributes);
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("refused");
    document.body.append(element);
});
const seen = answer => answer.type === "opaque" ? "opaque" : answer.text().then(text => text.slice(0, 2000));
const fetched = (path, options) => fetch(SERVICE + path, options).then(seen, error => "refused");
// A form is sent into a frame, as it would otherwise be this page that goes there.
const submitted = (path, enctype, fields) => new Promise(resolve => {
    const frame = Object.assign(document.createElement("iframe"), {name: "frame" + Math.random()});
    document.body.append(frame);
    const made = Object.assign(document.createElement("form"),
                               {action: SERVICE + path, method: "POST", enctype, target: frame.name});
    for (const [key, value] of fields) {
        const input = Object.assign(document.createElement("input"), {name: key});
        if (value instanceof File) {
            input.type = "file";
            const chosen = new DataTransfer();
            chosen.items.add(value);
            input.files = chosen.files;
        } else input.value = value;
        made.append(input);
    }
    document.body.append(made);
    frame.onload = () => resolve("sent");
    setTimeout(() => resolve("sent"), 5000);
    made.submit();
});
"""

# By the name of the image that each would make. The JSON of a form in text/plain is closed by its `=`.
WRITES = {
    "form multipart": """await submitted("/images/upload", "multipart/form-data", [["image", file()]])""",
    "fetch multipart no-cors": """await fetched("/images/upload", {method: "POST", mode: "no-cors", body: form()})""",
    "fetch multipart cors": """await fetched("/images/upload", {method: "POST", mode: "cors", body: form()})""",
    "fetch json cors": """await fetched("/images", {method: "POST", headers: {"Content-Type": "application/json"}, body: image()})""",
    "beacon multipart": """navigator.sendBeacon(SERVICE + "/images/upload", form())""",
}
# These would not be understood, or not be sent, even if nobody looked where they come from.
HOPELESS = {
    "form text/plain": """await submitted("/images", "text/plain", [['{"filename":"a","tags":["', '"]}']])""",
    "form urlencoded": """await submitted("/images", "application/x-www-form-urlencoded", [["filename", "a"]])""",
    "fetch text no-cors": """await fetched("/images", {method: "POST", mode: "no-cors", body: image()})""",
    "fetch text cors": """await fetched("/images", {method: "POST", body: image()})""",
    "fetch json no-cors": """await fetched("/images", {method: "POST", mode: "no-cors", headers: {"Content-Type": "application/json"}, body: image()})""",
    "fetch same-origin": """await fetched("/images", {method: "POST", mode: "same-origin", headers: {"Content-Type": "application/json"}, body: image()})""",
    "beacon text": """navigator.sendBeacon(SERVICE + "/images", image())""",
    "fetch credentials": """await fetched("/images", {method: "POST", credentials: "include", headers: {"Content-Type": "application/json"}, body: image()})""",
}
CHANGES = {
    "patch": """await fetched("/images/1", {method: "PATCH", headers: {"Content-Type": "application/json"}, body: '{"add_tags": ["x"]}'})""",
    "delete": """await fetched("/images/2", {method: "DELETE"})""",
}
READS = {
    "fetch": """await fetched("/images")""",
    "fetch attachments": """await fetched("/images/1/attachments")""",
    "fetch through a redirect": """await fetched("/images/1/attachment/a.jpg")""",
    "fetch a refusal": """await fetched("/images/999")""",
    "fetch with a range": """await fetched("/media/1/a.jpg", {headers: {Range: "bytes=0-9"}})""",
    "fetch ndjson": """await fetched("/images", {headers: {Accept: "application/x-ndjson"}})""",
    "img crossorigin": """await shown(new Image(), {crossOrigin: "anonymous", src: SERVICE + "/media/1/a.jpg"})""",
}
# Of these a page gets nothing, listed or not.
EMBEDS = {
    "img": """await shown(new Image(), {src: SERVICE + "/media/1/a.jpg"})""",
    "script": """await shown(document.createElement("script"), {src: SERVICE + "/images"})""",
    "script ndjson": """await shown(document.createElement("script"), {src: SERVICE + "/images/1/attachments"})""",
    "style": """await shown(document.createElement("link"), {rel: "stylesheet", href: SERVICE + "/images"})""",
    "object": """await shown(document.createElement("object"), {data: SERVICE + "/media/1/a.jpg"})""",
}


def trying(service, attempts):
    """The script that makes the attempts, one after the other, and returns what came of each."""
    lines = [f"name = {json.dumps(name)}; outcomes[name] = {attempt};" for name, attempt in attempts.items()]
    picture = base64.b64encode(drawn("JPEG")).decode()
    start = f"const SERVICE = {json.dumps(service)}, PICTURE = {json.dumps(picture)}, outcomes = {{}};"
    return f"{start}{TOOLS}{' '.join(lines)} await new Promise(done => setTimeout(done, 500)); return outcomes;"


@pytest.fixture
async def page(tmp_path):
    async with browsing(tmp_path / "chromium") as tab:
        yield tab


@pytest.fixture
async def other_site():
    """The port of a server with an empty page, whatever it is called."""

    async def empty(_request):
        return web.Response(text="<!DOCTYPE html><body>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", empty)
    async with TestServer(app) as server:
        yield server.port


@asynccontextmanager
async def filled(client):
    """Two images, the first with a file; see in the end that both are as they were."""
    for _ in range(2):
        await client.post("/images", json={"filename": "a.jpg"})
    await client.post("/images/1/attachment/a.jpg", data={"image": BytesIO(drawn("JPEG"))})
    before = await state(client)
    yield before
    assert await state(client) == before


async def state(client):
    return [await (await client.get(url)).json() for url in ("/images", "/images/1/attachments", "/tags")]


# A browser sends Sec-Fetch-Site to the loopback, and to `pics.example` only Origin, as it does not trust the connection.
@pytest.mark.parametrize("called", ["127.0.0.1", "pics.example"])
# Another port is another origin, and to a browser the same site.
@pytest.mark.parametrize("site", ["evil.example", "127.0.0.1"])
async def test_a_page_of_another_origin_neither_writes_nor_reads(serve, page, other_site, called, site):
    client = await serve(host="0.0.0.0", cors_origins=("http://listed.example",))
    service = f"http://{called}:{client.port}"
    async with filled(client):
        await page.open(f"http://{site}:{other_site}/")
        await page.run(trying(service, WRITES | HOPELESS | CHANGES))
        seen = await page.run(trying(service, READS | EMBEDS))
        # An object that is refused is shown as nothing, which browsers call loaded.
        assert {name: outcome for name, outcome in seen.items() if outcome != "refused"} in ({}, {"object": "loaded"})


async def test_a_listed_site_s_page_does_all_of_it(serve, page, other_site):
    site = f"http://listed.example:{other_site}"
    client = await serve(host="0.0.0.0", cors_origins=(site,))
    service = f"http://127.0.0.1:{client.port}"
    async with filled(client):
        await page.open(site)
        seen = await page.run(trying(service, READS))
        await page.run(trying(service, EMBEDS | HOPELESS))
    assert '"totalImages":2' in seen["fetch"]
    assert '"url":"/media/1/a.jpg' in seen["fetch attachments"]
    assert seen["fetch a refusal"] == '{"error":"Image <999> is not found"}'
    assert seen["img crossorigin"] == "loaded"
    assert "refused" not in seen.values()
    written = await page.run(trying(service, WRITES | CHANGES))
    assert '"filename":"fetch json cors"' in written["fetch json cors"]
    chunks = (await (await client.get("/images")).json())[:-1]
    assert {image["filename"] for chunk in chunks for image in chunk} == {"a.jpg", *WRITES}
    assert (await (await client.get("/images/1")).json())["tags"] == ["x"]
    assert (await client.get("/images/2")).status == 404


async def test_a_listed_site_sees_the_headers_that_it_needs(serve, page, other_site):
    site = f"http://listed.example:{other_site}"
    client = await serve(host="0.0.0.0", cors_origins=(site,))
    await page.open(site)
    script = """
        const headers = {"Content-Type": "application/json", "Authorization": "Bearer x"};
        const made = await fetch("%s/images", {method: "POST", headers, body: '{"filename": "a"}'});
        return [made.status, made.headers.get("Location")];
    """
    assert await page.run(script % f"http://127.0.0.1:{client.port}") == [201, "/images/1"]


async def test_nothing_of_the_service_is_shown_in_a_frame(serve, page, other_site):
    client = await serve(host="0.0.0.0")
    await client.post("/images", json={"filename": "secret.jpg"})
    await page.open(f"http://evil.example:{other_site}/")
    for path in ("/oas", "/images", "/media/1/a"):
        url = json.dumps(f"http://127.0.0.1:{client.port}{path}")
        script = f"""
            const frame = document.createElement("iframe");
            const loaded = new Promise(resolve => frame.onload = resolve);
            frame.src = {url};
            document.body.append(frame);
            await loaded;
            try {{ return frame.contentWindow.location.href; }} catch (error) {{ return error.name; }}
        """
        assert await page.run(script) == "SecurityError"
    texts = await page.frames("return document.documentElement.innerText")
    assert len(texts) == 3
    for text in texts:
        assert "refused to connect" in text


@asynccontextmanager
async def rebound(client):
    """The port of a name that led to an attacker's page a moment ago, and now leads to the service."""

    async def empty(_request):
        return web.Response(text="<!DOCTYPE html><body>", content_type="text/html")

    async def passed_on(request):
        url, body = f"http://127.0.0.1:{client.port}{request.path_qs}", await request.read()
        async with session.request(request.method, url, headers=request.headers, data=body) as answer:
            return web.Response(status=answer.status, body=await answer.read())

    app = web.Application()
    app.router.add_get("/", empty)
    app.router.add_route("*", "/{path:.*}", passed_on)
    async with aiohttp.ClientSession() as session, TestServer(app) as server:
        yield server.port


@pytest.mark.parametrize(
    "settings_of", [{"host": "127.0.0.1"}, {"host": "0.0.0.0", "allowed_hosts": ("pics.example",)}]
)
async def test_a_name_that_leads_to_the_service_by_a_trick_opens_nothing(serve, page, settings_of):
    """DNS rebinding: for the browser, the service is evil.example's own."""
    client = await serve(**settings_of)
    async with filled(client), rebound(client) as port:
        await page.open(f"http://evil.example:{client.port}/images")
        assert "not called by this name" in await page.run("return document.body.innerText")
        await page.open(f"http://evil.example:{port}/")
        seen = await page.run(trying(f"http://evil.example:{port}", READS | WRITES | CHANGES | HOPELESS))
        answers = [seen[name] for name in seen if name.startswith("fetch")]
        assert len(answers) > 10
        assert {answer for answer in answers if "not called by this name" not in answer} == set()


async def test_beyond_the_loopback_such_a_trick_is_for_the_settings_to_forbid(serve, page):
    client = await serve(host="0.0.0.0")
    async with rebound(client) as port:
        await page.open(f"http://evil.example:{port}/")
        seen = await page.run(trying(f"http://evil.example:{port}", WRITES))
    assert '"image_id"' in seen["fetch json cors"]


@pytest.mark.parametrize("called", ["localhost", "127.0.0.1", "pics.example"])
@pytest.mark.parametrize("start", ["", "/pics"])
async def test_the_service_s_own_page_shows_all_calls_and_may_do_them(serve, page, called, start):
    client = await serve(host="0.0.0.0", base_path=start)
    await page.open(f"http://{called}:{client.port}{start}/oas")
    shown = """
        for (let tries = 0; tries < 200 && !document.querySelector(".opblock"); tries++)
            await new Promise(done => setTimeout(done, 50));
        return [...document.querySelectorAll(".opblock-summary-path")].map(one => one.dataset.path);
    """
    document = await (await client.get("/oas/spec")).json()
    assert sorted(await page.run(shown)) == sorted(path for path, item in document["paths"].items() for _ in item)
    tried = """
        document.querySelector("#operations-Images-create_image .opblock-summary-control, #operations-Images-create_image button").click();
        const found = async selector => {
            for (let tries = 0; tries < 200 && !document.querySelector(selector); tries++)
                await new Promise(done => setTimeout(done, 50));
            return document.querySelector(selector);
        };
        const call = "#operations-Images-create_image ";
        (await found(call + ".try-out__btn")).click();
        (await found(call + ".execute")).click();
        const answer = await found(call + ".live-responses-table tbody .response-col_status");
        return [answer.innerText.trim(), document.querySelector(call + ".request-url pre").innerText];
    """
    status, url = await page.run(tried)
    assert status.startswith("201")
    assert url == f"http://{called}:{client.port}{start}/images"
    assert (await (await client.get("/images/count")).json()) == {"totalImages": 1}
