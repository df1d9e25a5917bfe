"""`python -m benchmarks.screenshots`: make the pictures of the gallery in api/docs, on data of their own."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page

from benchmarks import client, scratch
from benchmarks.browser import chromium
from benchmarks.contestants import API, KEPT
from benchmarks.landscapes import landscapes
from kt_images.client import Client
from kt_images.database import embedded

DOCS = API / "docs"
IMAGES = 160
SHOWN = 144  # in the viewer
DESKTOP, PHONE = (1440, 900), (390, 844)
NARROW = 500
QUALITY = 80
MOST_BYTES = 120_000
REST_MS = 700  # of animations


def _grid(page: Page) -> None:
    page.wait_for_function("document.querySelectorAll('.tile img').length > 5")


def _viewer(page: Page) -> None:
    page.goto(f"{page.url}#image/{SHOWN}")
    page.wait_for_selector("kt-viewer .details dl, kt-viewer dl", state="visible")


def _search(page: Page) -> None:
    page.goto(f"{page.url}?tags_all=coast&tags_none=winter")
    page.click("kt-search input")
    page.keyboard.type("r")
    page.wait_for_selector("[role=option]")


@dataclass(frozen=True)
class Shot:
    """A picture: its file, how the window is, and what is done before."""

    name: str
    size: tuple[int, int]
    scheme: Literal["light", "dark"]
    show: Callable[[Page], None]


SHOTS = (
    Shot("gallery-light", DESKTOP, "light", _grid),
    Shot("gallery-viewer", DESKTOP, "dark", _viewer),
    Shot("gallery-search", PHONE, "light", _search),
    Shot("gallery-phone", PHONE, "dark", _grid),
)


def main() -> None:
    """Make them all; say how large they are."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with embedded.running(KEPT / "db") as server, scratch.service(server) as place:
        url = f"http://{client.HOST}:{place.port}/"
        asyncio.run(_store(url))
        with chromium() as browser:
            for shot in SHOTS:
                content = _taken(browser, shot, url)
                path = DOCS / f"{shot.name}.webp"
                path.write_bytes(content)
                print(f"{path.relative_to(API.parent)}: {len(content):,} bytes", flush=True)
                if len(content) > MOST_BYTES:
                    raise SystemExit(f"{path.name} is larger than {MOST_BYTES:,} bytes")


async def _store(url: str) -> None:
    async with Client(url) as service:
        for one in landscapes(IMAGES):
            await service.upload(one.content, one.filename, one.tags)


def _taken(browser: Browser, shot: Shot, url: str) -> bytes:
    width, height = shot.size
    is_phone = width < NARROW
    with browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=shot.scheme,
        has_touch=is_phone,
        is_mobile=is_phone,
        bypass_csp=True,  # for waiting: the page's policy lets nobody evaluate strings
    ) as context:
        page = context.new_page()
        page.goto(url)
        shot.show(page)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(REST_MS)
        picture = Image.open(io.BytesIO(page.screenshot()))
        context.close()
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
