"""The gallery in a real Chromium, on a service that runs beside it in the same process.

Every test fails that leaves an error on the browser's console, an exception that nobody caught, or a violation of the
page's policy. Playwright belongs to one event loop: here, all tests and fixtures share that of the session.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from browser import CHROMIUM
from kt_images.application import create_app
from kt_images.database import schema
from kt_images.database.connection import Connection, Limits
from kt_images.database.pool import Pool
from pictures import drawn

try:
    from playwright import async_api as playwright
except ImportError:  # it has no wheel for some systems
    playwright = None

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"

DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
SIZES = {"desktop": DESKTOP, "phone": PHONE}

# WCAG 2.2 AA, and what axe calls best practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# In milliseconds: generous, against hanging.
TIMEOUT = 15_000

in_session = partial(pytest_asyncio.fixture, loop_scope="session")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            if not (CHROMIUM and playwright):
                item.add_marker(pytest.mark.skip(reason=f"there is no {'Playwright' if CHROMIUM else 'Chromium'} here"))
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


# The same as those of all tests, in the loop of these.


@in_session()
async def dsn(server_dsn):
    connection = await Connection.open(server_dsn, Limits())
    await schema.upgrade(connection)
    await connection.query("truncate images, orphans, store, keys restart identity cascade")
    connection.close()
    return server_dsn


@in_session()
async def pool(dsn):
    async with Pool(dsn, 4, Limits()) as made:
        yield made


@in_session()
async def serve(settings):
    """Start a service with some settings changed; give its client."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**changes):
            server = TestServer(create_app(settings.model_copy(update=changes)))
            return await stack.enter_async_context(TestClient(server))

        yield start


@in_session()
async def client(serve):
    return await serve()


# The browser.


@in_session(scope="session")
async def chromium():
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        await browser.close()


class Complaints(list):
    """What the browser has to complain of, as sentences. A test that provokes one takes it out."""

    def watch(self, page):
        page.on("pageerror", lambda error: self.append(f"uncaught: {error}"))
        page.on("console", self._on_console)

    def _on_console(self, message):
        if message.type == "error" and not _is_an_answer(message):
            self.append(f"{message.text} ({message.location.get('url')})")

    def take(self, part):
        """Take out those with this in them, which are expected; fail if there are none."""
        taken = [one for one in self if part in one]
        assert taken, f"no complaint has {part!r} in it: {self}"
        self[:] = [one for one in self if part not in one]


def _is_an_answer(message):
    """Return whether it is about a status of the API, which the page tells in its own words, and no file of the page."""
    path = urlsplit(message.location.get("url", "")).path
    of_the_page = path == "/" or path.startswith("/gallery") or path.endswith((".js", ".css"))
    return message.text.startswith("Failed to load resource") and not of_the_page


@in_session()
async def complaints():
    found = Complaints()
    yield found
    assert found == []


@in_session()
async def browse(chromium, complaints) -> AsyncIterator[Callable]:
    """Open a tab of a fresh context, at this size; other options are those of Playwright's contexts."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(size=DESKTOP, **options):
            context = await chromium.new_context(**size, **options)
            stack.push_async_callback(context.close)
            context.set_default_timeout(TIMEOUT)
            context.on("page", complaints.watch)
            return await context.new_page()

        yield opened


@in_session()
async def page(browse):
    """A tab of a desktop's size."""
    return await browse()


@in_session()
async def phone(browse):
    """A tab of a phone's size, with touch."""
    return await browse(PHONE)


@in_session(params=SIZES)
async def tab(browse, request):
    """A tab of either size: the test runs twice."""
    return await browse(SIZES[request.param])


@pytest.fixture
def axe():
    """Look for violations of WCAG in the page; give a line for each: the rule, what is wrong, and where."""
    if not AXE.exists():
        pytest.skip("there is no axe-core here; `make page` installs it where there is npm")

    async def look(page, within="html"):
        await page.evaluate(AXE.read_text())
        script = "([within, values]) => axe.run(within, {runOnly: {type: 'tag', values}})"
        found = await page.evaluate(script, [within, RULES])
        return [
            f"{one['id']}: {one['help']}: {node['target']} {node['html'][:200]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    return look


# What is shown.


@pytest.fixture
def upload():
    """Store an image with its file; give its id."""

    async def store(client, name="a.jpg", tags=(), content=None, headers=None):
        form = aiohttp.FormData()
        form.add_field("image", BytesIO(content or drawn("JPEG", (400, 300))), filename=name)
        for tag in tags:
            form.add_field("tags", tag)
        answer = await client.post("/images/upload", data=form, headers=headers)
        assert answer.status == 201, await answer.text()
        return (await answer.json())["image_id"]

    return store


@in_session()
async def rows(pool):
    """Store many images without files, by SQL: `{n}.jpg`, where n counts from 1; tags are an expression of n."""

    async def store(count, tags="array[case n % 2 when 0 then 'even' else 'odd' end]"):
        # A statement has a time limit: a million rows take longer.
        for start in range(1, count + 1, 100_000):
            last = min(count, start + 99_999)
            await pool.query(
                f"insert into images (filename, tags) select n || '.jpg', {tags} from generate_series({start}, {last}) as n"
            )

    return store


@pytest.fixture
def node():
    """Run node; give what it says."""
    if not (found := shutil.which("node")):
        pytest.skip("there is no node here")

    async def run(*arguments):
        process = await asyncio.create_subprocess_exec(
            found, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, said.decode()

    return run
