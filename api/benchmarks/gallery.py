"""The gallery in a browser: its first tile, what it fetches, and whether it stays as light while one scrolls."""

import asyncio
import base64
from collections.abc import Iterator

from playwright.sync_api import Browser, CDPSession

from benchmarks import client, contestants, data, scratch
from benchmarks.browser import chromium
from benchmarks.landscapes import landscapes
from benchmarks.rows import Row, Run, alternate, medians, ratios
from kt_images.client import Client

WINDOW = {"width": 1440, "height": 900}
TILES = 60
TURNS = 3  # in each round
SCROLLED = 50_000  # images; after a tenth the page holds as much of the list as it ever does
STEPS = 200  # screens at a time, for one call of the browser
PAGE_BYTES = 80  # kB

MEMORY = (("JSHeapUsedSize", "memory of the scripts", "MB", 1e6), ("Nodes", "nodes", "in all", 1))
LISTED = "select sum(octet_length(document) + 1) from images where image_id > {}"

# The first tile that is painted, in ms since the beginning, or for the bare page since its document was there: that one
# is not sent by a service. Chromium tells of the largest contents so far; all tiles have the same size.
PAINTED = """async isBare => {
    const at = await new Promise(found => new PerformanceObserver(list => {
        const tile = list.getEntries().find(one => one.url.includes('/thumbnail'));
        if (tile) found(tile.startTime);
    }).observe({type: 'largest-contentful-paint', buffered: true}));
    return at - (isBare ? performance.getEntriesByType('navigation')[0].responseEnd : 0);
}"""
STYLE = "img { float: left; width: 204px; height: 204px; margin: 3px; object-fit: cover }"
FETCHED = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .filter(one => one.name.includes('/gallery/') || one.entryType === 'navigation')
    .reduce((sum, one) => sum + one.transferSize, 0)"""

# A screen after the other, as fast as tiles with names come; gives the place of the last tile in sight.
SCROLL = """async ([steps, until]) => {
    const seen = () => [...document.querySelectorAll('.tile')].filter(tile => {
        const {top, bottom} = tile.getBoundingClientRect();
        return bottom > 100 && top < innerHeight && tile.querySelector('.caption').textContent;
    }).map(tile => tile.ariaPosInSet);
    let place = 0;
    for (let step = 0; step < steps && place < until; step += 1) {
        scrollBy(0, innerHeight * 0.9);
        const before = place;
        for (let frames = 0; frames < 600 && place <= before; frames += 1) {
            await new Promise(requestAnimationFrame);
            place = Math.max(...seen(), 0);
        }
    }
    return place;
}"""
COUNT_LISTS = """() => {
    window.listed = 0;
    new PerformanceObserver(list => {
        for (const one of list.getEntries()) if (/\\/images\\?/.test(one.name)) window.listed += one.encodedBodySize;
    }).observe({type: 'resource', buffered: true});
}"""


def opened(run: Run) -> Iterator[Row]:
    """The gallery beside a page of bare pictures, each in a browser that has never seen it, and what is fetched."""
    with scratch.service(run.server) as place:
        url = f"http://{client.HOST}:{place.port}/"
        asyncio.run(_store(url))
        with chromium() as browser:
            times = alternate(
                {"gallery": lambda: _painted(browser, url, None), "bare": lambda: _painted(browser, url, _bare(url))},
                run.rounds,
                TURNS,
            )
            sizes = [_fetched(browser, url) for _ in range(run.rounds)]
    what = "the gallery's first tile, nothing in the browser's cache"
    yield Row(what, "a page of bare `<img>`", 3, "times its time", ratios(*times.values()), seen=medians(times, "ms"))
    yield Row("the gallery's page and files, over the wire", "—", PAGE_BYTES, "kB", sizes)


def scrolled(run: Run) -> Iterator[Row]:
    """Scroll through many images, without files: what the second half costs beside the first, and what is fetched."""
    dsn = data.database(run.server, run.images)
    until = min(SCROLLED, run.images // 2)
    last = data.value(dsn, "select max(image_id) from images")
    listed = data.value(dsn, LISTED.format(last - until))
    marks = (until // 10, until // 2, until)
    with contestants.service(dsn) as service, chromium() as browser:
        url = f"http://{client.HOST}:{service.port}/"
        passes = [_scroll(browser, url, marks) for _ in range(run.rounds)]
    warm, half, end = ([one[mark] for one in passes] for mark in range(len(marks)))
    first_half = [(one["ScriptDuration"]) * 1000 / (until / 2) for one in half]
    second_half = [
        (one["ScriptDuration"] - other["ScriptDuration"]) * 1000 / (until / 2)
        for one, other in zip(end, half, strict=True)
    ]
    what = f"of the gallery after scrolling through {until:,} images"
    script = {"first": first_half, "second": second_half}
    yield Row(
        f"scripting {what}, the second half", "the first half", 1.1, "times its time",
        ratios(second_half, first_half), seen=medians(script, "ms an image"),
    )  # fmt: skip
    for name, word, unit, scale in MEMORY:
        values = {"at the end": [one[name] / scale for one in end], "warm": [one[name] / scale for one in warm]}
        against = f"the same after {marks[0]:,}"
        compared = ratios(values["at the end"], values["warm"])
        yield Row(f"{word} {what}", against, 1.1, "times as much", compared, seen=medians(values, unit))
    fetched = [one["listed"] / listed for one in end]
    yield Row(f"lists {what}, over the wire", "one list of these images", 1.1, "times its bytes", fetched)


async def _store(url: str) -> None:
    async with Client(url) as service:
        for one in landscapes(TILES):
            await service.upload(one.content, one.filename, one.tags)


def _bare(url: str) -> str:
    """The page that does nothing but show the tiles."""
    tiles = "".join(f'<img src="{url}images/{one}/thumbnail?width=320" alt="">' for one in range(TILES, 0, -1))
    return f"<!doctype html><title>tiles</title><style>{STYLE}</style>{tiles}"


def _painted(browser: Browser, url: str, instead: str | None) -> float:
    """Return the milliseconds until a tile is painted, in the gallery or in the page that comes instead of it."""
    with browser.new_context(viewport=WINDOW) as context:
        page = context.new_page()
        if instead is not None:
            _replace(context.new_cdp_session(page), url, instead)
        page.goto(url, wait_until="commit")
        return float(page.evaluate(PAINTED, instead is not None))


def _replace(session: CDPSession, url: str, text: str) -> None:
    """Answer for the service, which has no such page. What the page asks for then goes its own way."""
    body = base64.b64encode(text.encode()).decode()
    headers = [{"name": "Content-Type", "value": "text/html"}]
    session.on(
        "Fetch.requestPaused",
        lambda event: session.send(
            "Fetch.fulfillRequest",
            {"requestId": event["requestId"], "responseCode": client.OK, "responseHeaders": headers, "body": body},
        ),
    )
    session.send("Fetch.enable", {"patterns": [{"urlPattern": url}]})


def _fetched(browser: Browser, url: str) -> float:
    """Return the kilobytes of the page and its files, with their heads."""
    with browser.new_context(viewport=WINDOW) as context:
        page = context.new_page()
        page.goto(url, wait_until="networkidle")
        return float(page.evaluate(FETCHED)) / 1000


def _scroll(browser: Browser, url: str, marks: tuple[int, ...]) -> list[dict[str, float]]:
    """Return what Chromium counts at each of the marks, from the beginning on. Raises RuntimeError if it stops."""
    seen = []
    with browser.new_context(viewport=WINDOW) as context:
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        page.goto(url, wait_until="networkidle")
        page.evaluate(COUNT_LISTS)
        place = 0
        for mark in marks:
            while place < mark:
                before, place = place, int(page.evaluate(SCROLL, [STEPS, mark]))
                if place <= before:
                    raise RuntimeError(f"The gallery does not scroll beyond its image {place}")
            session.send("HeapProfiler.collectGarbage")
            counted = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            seen.append(counted | {"listed": page.evaluate("window.listed")})
    return seen
