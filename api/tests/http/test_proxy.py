"""Behind a real nginx, configured as the documentation says, below a path that it takes off or leaves."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess

import pytest

from browser import browsing, needs_chromium
from conftest import ROOT
from kt_images.client import Client
from pictures import JPEG
from services import free_port, wait_until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(not NGINX, reason="there is no nginx here")

PAGE = (ROOT / "api" / "docs" / "operating.md").read_text()
LOCATION = re.search(r"```\n(location /pics/ .*?)```", PAGE, re.DOTALL)[1]
SITE = (ROOT / "api" / "deploy" / "nginx" / "kt-images.conf").read_text()
OBJECTS = re.search(r"location /_objects/ .*?\n    }", SITE, re.DOTALL)[0].replace("$kt_request_id", "$request_id")

CONFIGURATION = """
{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; {location} {objects} }}
}}
"""

LEAVING = {"base_path": "/pics"}, ""
TAKING_OFF = {"base_path": "/pics"}, "/"
SAYING = {}, "/"
WAYS = pytest.mark.parametrize(
    "way", [LEAVING, TAKING_OFF, SAYING], ids=["leaves", "takes off", "says what it takes off"]
)


@pytest.fixture
def published(serve, tmp_path):
    """Start a service and an nginx in front of it; give the URL below which nginx publishes it."""
    processes = []

    async def start(way, **settings):
        changes, slash = way
        client = await serve(host="127.0.0.1", **changes, **settings)
        location = LOCATION.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{client.port}{slash}")
        if not changes:
            location = location.replace('X-Forwarded-Prefix ""', "X-Forwarded-Prefix /pics")
        port, file = free_port(), tmp_path / "nginx.conf"
        objects = OBJECTS.replace("/data/images", str(tmp_path / "images"))
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(CONFIGURATION.format(user=user, folder=tmp_path, port=port, location=location, objects=objects))
        command = [NGINX, "-c", file, "-e", tmp_path / "error.log"]
        processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))  # noqa: ASYNC220 (it only begins)
        url = f"http://127.0.0.1:{port}/pics"
        await asyncio.to_thread(wait_until, lambda: curl(f"{url}/healthz").returncode == 0)
        return url

    yield start
    for process in processes:
        process.terminate()
        process.wait()


def curl(*arguments):
    return subprocess.run(["curl", "-sS", "--fail", "--max-time", "20", *arguments], capture_output=True, check=False)


async def asked(*arguments):
    """What curl prints. The service is in this event loop."""
    done = await asyncio.to_thread(curl, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def resolved(url, path):
    return url.removesuffix("/pics") + path


@WAYS
async def test_whatever_the_service_says_leads_through_the_proxy(published, way):
    url = await published(way)
    head = await asked("-i", f"{url}/images", "-H", "Content-Type: application/json", "-d", '{"filename": "a.jpg"}')
    location = re.search(rb"\r\nLocation: (\S+)", head)[1].decode()
    assert location == "/pics/images/1"
    assert json.loads(await asked(resolved(url, location)))["filename"] == "a.jpg"
    assert b"successfully stored" in await asked("-F", f"image=@{JPEG}", f"{url}/images/1/attachment/a.jpg")
    assert await asked("-L", f"{url}/images/1/attachment/a.jpg") == JPEG.read_bytes()
    [attachment] = json.loads(await asked(f"{url}/images/1/attachments"))
    assert await asked(resolved(url, attachment["url"])) == JPEG.read_bytes()
    for way_in in (f"{url}/", f"{url}/oas"):
        assert b"<title>kt-images" in await asked("-L", way_in)
    for asset in re.findall(rb'(?:src|href)="(oas/[^"]+)"', await asked(f"{url}/oas")):
        assert await asked(f"{url}/{asset.decode()}")
    assert json.loads(await asked(f"{url}/oas/spec"))["servers"] == [{"url": "/pics"}]


@WAYS
async def test_the_client_needs_no_more_than_the_address(published, way):
    async with Client(await published(way)) as client:
        uploaded = await client.upload(JPEG, "a.jpg", ["sea"])
        assert [image async for image in client.images(tag="sea")] == [uploaded.image]
        assert await client.media(1, "a.jpg") == JPEG.read_bytes()
        await client.delete(1)
        assert await client.count() == 0


@needs_chromium
@WAYS
async def test_a_browser_finds_the_page_and_tries_the_calls(published, way, tmp_path):
    url = await published(way)
    async with browsing(tmp_path / "chromium") as page:
        await page.open(f"{url}/oas")
        waiting = """
            for (let tries = 0; tries < 200 && !document.querySelector(".opblock"); tries++)
                await new Promise(done => setTimeout(done, 50));
            return [document.querySelectorAll(".opblock").length, document.querySelector(".servers select")?.value];
        """
        operations, server = await page.run(waiting)
        assert operations > 10
        assert server == "/pics"
        posting = """
            const options = {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"filename": "a.jpg"}'};
            return (await fetch("images", options)).status;
        """
        assert await page.run(posting) == 201
        await page.open(f"{url}/")
        looking = """
            for (let tries = 0; tries < 200 && !document.querySelector(".tile a[href]"); tries++)
                await new Promise(done => setTimeout(done, 50));
            return document.querySelector(".tile a").getAttribute("href");
        """
        assert await page.run(looking) == "/pics/#image/1"


@pytest.mark.parametrize("said", ["/evil", "//evil.example"])
async def test_a_client_cannot_say_what_only_the_proxy_may(published, said):
    url = await published(TAKING_OFF)
    head = await asked("-i", "-H", f"X-Forwarded-Prefix: {said}", f"{url}/")
    assert b"\r\nLocation: /pics/oas\r\n" in head
    url = await published(SAYING)
    head = await asked("-i", "-H", f"X-Forwarded-Prefix: {said}", f"{url}/")
    assert b"\r\nLocation: /pics/oas\r\n" in head


async def test_the_proxy_passes_on_the_name_by_which_it_is_called(published):
    url = await published(LEAVING)
    answer = await asyncio.to_thread(curl, "-H", "Host: evil.example", f"{url}/images")
    assert b"403" in answer.stderr
    url = await published(LEAVING, allowed_hosts=("pics.example",))
    assert await asked("-H", "Host: pics.example", f"{url}/images")


async def test_files_that_nginx_sends_have_all_headers(published):
    url = await published(LEAVING, accel_location="/_objects/", cors_origins=("https://gallery.example",))
    await asked("-F", f"image=@{JPEG}", f"{url}/images/upload")
    origin = ("-H", "Origin: https://gallery.example")
    media = f"{url}/media/1/{JPEG.name}"
    assert await asked(media) == JPEG.read_bytes()
    through_nginx = await headers(media, *origin)
    assert "x-accel-redirect" not in through_nginx
    assert through_nginx["access-control-allow-origin"] == "https://gallery.example"
    assert "Location" in through_nginx["access-control-expose-headers"]
    assert through_nginx["vary"] == "Origin"
    assert through_nginx["cross-origin-resource-policy"] == "same-origin"
    assert through_nginx["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in await headers(media)


async def headers(url, *arguments):
    lines = (await asked("-o", os.devnull, "-D", "-", *arguments, url)).decode().split("\r\n")[1:]
    with contextlib.suppress(ValueError):
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}
    raise AssertionError(lines)
