"""The grid: what is found, newest first, however many there are."""

import asyncio

import pytest

from pictures import drawn

# What a page of another site would be if one of these were taken for markup.
HOSTILE = ["<img src=x onerror=alert(1)>.jpg", "\"><script>alert(1)<&#47;script>.jpg", "צילום של הים.jpg", "👩‍👩‍👧 ünïcode.jpg", "a" * 251 + ".jpg", "{base}&lt;'`$%0a.jpg"]  # fmt: skip

SEEN = """() => [...document.querySelectorAll('.tile')].filter(tile => {
    const {top, bottom} = tile.getBoundingClientRect();
    return top >= 50 && bottom <= innerHeight && tile.querySelector('.caption').textContent;
}).map(tile => parseInt(tile.querySelector('.caption').textContent))"""


async def opened(page, client, path="/"):
    await page.goto(f"{client.make_url(path)}")
    await page.wait_for_selector("kt-grid[aria-busy=false]", state="attached")


async def seen(page):
    """Return the numbers of the images in sight, once nothing moves."""
    found = None
    for _ in range(100):
        await page.wait_for_timeout(100)
        found, before = await page.evaluate(SEEN), found
        if found and found == before:
            return found
    raise AssertionError(f"nothing comes to rest: {found}")


async def until(page, condition):
    """Wait until an expression is true; Playwright's own way needs what the page's policy forbids."""
    for _ in range(100):
        if await page.evaluate(condition):
            return
        await page.wait_for_timeout(100)
    raise AssertionError(f"it never comes to {condition}")


async def tiles(page):
    return await page.locator(".tile").count()


async def test_the_newest_images_come_first_and_are_counted(client, tab, rows):
    await rows(500)
    await opened(tab, client)
    found = await seen(tab)
    assert found == list(range(500, 500 - len(found), -1))
    assert await tab.inner_text(".count") == "500 images"


async def test_only_what_is_near_the_window_is_in_the_page(client, tab, rows):
    await rows(30_000)
    await opened(tab, client)
    first = await tiles(tab)
    for _ in range(30):
        await tab.mouse.move(100, 300)
        await tab.evaluate("scrollBy(0, 700)")
        await tab.wait_for_timeout(30)
    found = await seen(tab)
    assert found == list(range(found[0], found[0] - len(found), -1))
    assert found[0] < 29_950
    assert await tiles(tab) < 3 * first


async def test_a_dragged_scrollbar_shows_what_is_there(client, page, rows):
    await rows(100_000)
    await client.delete("/images?tags_all=even")  # ids have gaps, and the halves differ
    await opened(page, client)
    for part in (0.5, 0.9, 0.25):
        await page.evaluate(f"scrollTo(0, document.documentElement.scrollHeight * {part})")
        found = await seen(page)
        assert found == list(range(found[0], found[0] - 2 * len(found), -2))
        assert abs(found[0] - 100_000 * (1 - part)) < 1000
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert (await seen(page))[-1] == 1


async def test_home_and_end_lead_to_the_newest_and_the_oldest(client, tab, rows):
    await rows(20_000)
    await opened(tab, client)
    await tab.focus(".tile a[tabindex='0']")
    await tab.keyboard.press("End")
    assert (await seen(tab))[-1] == 1
    assert "1.jpg" in await tab.evaluate("document.activeElement.title")
    await tab.keyboard.press("Home")
    assert (await seen(tab))[0] == 20_000


async def test_arrows_lead_from_image_to_image(client, page, rows):
    await rows(200)
    await opened(page, client)
    await page.keyboard.press("Tab")
    while not await page.evaluate("document.activeElement.closest('.tile') !== null"):
        await page.keyboard.press("Tab")
    await seen(page)

    async def after(*keys):
        for key in keys:
            await page.keyboard.press(key)
        return int((await page.evaluate("document.activeElement.title")).split(".")[0])

    columns = 200 - await after("ArrowDown")
    assert columns > 3
    assert await after("ArrowUp", "ArrowRight", "ArrowRight") == 198
    assert await after("ArrowLeft") == 199
    assert await after("ArrowUp") == 199  # there is nothing above
    assert await after(*["ArrowDown"] * 20) == 199 - 20 * columns
    assert 199 - 20 * columns in await seen(page)


async def test_a_link_leads_to_the_same_place(client, tab, rows, browse):
    await rows(20_000)
    await opened(tab, client)
    await tab.evaluate("scrollTo(0, 20000)")
    found = await seen(tab)
    await until(tab, "location.search.includes('before=')")
    await tab.reload()
    await tab.wait_for_selector("kt-grid[aria-busy=false]", state="attached")
    assert (await seen(tab))[0] == found[0]


async def test_back_leads_to_where_one_was(client, page, rows):
    await rows(20_000)
    await opened(page, client)
    await page.evaluate("scrollTo(0, 20000)")
    found = await seen(page)
    await until(page, "location.search.includes('before=')")
    await page.click(".brand")
    assert (await seen(page))[0] == 20_000
    await page.go_back()
    await until(page, f"document.querySelector('.tile[aria-posinset=\"{20_000 - found[0] + 1}\"]') !== null")
    assert (await seen(page))[0] == found[0]


async def test_a_tile_is_a_link_that_opens_in_a_tab_of_its_own(client, page, upload):
    await upload(client, "sea.jpg", ["sea", "sand"])
    await opened(page, client)
    link = page.get_by_role("link", name="sea.jpg, sea, sand")
    async with page.context.expect_page() as other:
        await link.click(button="middle")
    assert (await other.value).url.endswith("/#image/1")
    await link.click()
    assert page.url.endswith("/#image/1")


async def test_pictures_are_shown_and_what_has_no_file_has_its_name(client, tab, upload, rows):
    await upload(client, "sea.jpg", content=drawn("JPEG", (1200, 800)))
    await rows(1)
    await opened(tab, client)
    await tab.wait_for_selector(".tile.is-loaded")
    assert await tab.eval_on_selector(".is-loaded img", "img => [img.naturalWidth, img.naturalHeight]") == [320, 213]
    await tab.wait_for_selector(".tile.has-no-file")
    assert await tab.locator(".has-no-file .caption").inner_text() == "1.jpg"


async def test_names_and_tags_are_text_whatever_they_look_like(client, tab, upload):
    for name in HOSTILE:
        answer = await client.post("/images", json={"filename": name, "tags": [name[:90].strip(), "' onload='x"]})
        assert answer.status == 201, await answer.text()
    await opened(tab, client)
    await tab.wait_for_selector(".has-no-file")
    await tab.wait_for_timeout(300)
    assert await tab.evaluate(
        "[...document.querySelectorAll('.tile')].every(one => !one.querySelector('script, .caption *'))"
    )
    assert sorted(await tab.locator(".caption").all_inner_texts()) == sorted(HOSTILE)


async def test_without_images_it_says_how_to_begin_and_without_a_match_that_there_is_none(client, tab, rows, axe):
    await opened(tab, client)
    assert "No images yet" in await tab.inner_text("kt-status")
    assert await axe(tab) == []
    await rows(3)
    await opened(tab, client, "/?tags_all=nothing")
    assert "Nothing found" in await tab.inner_text("kt-status")
    assert await axe(tab) == []


async def test_axe_finds_nothing_wrong(client, tab, upload, rows, axe):
    await rows(40)
    await upload(client, "sea.jpg", ["sea"])
    await opened(tab, client)
    await tab.wait_for_selector(".is-loaded")
    assert await axe(tab) == []


async def test_those_who_do_not_look_hear_the_images_in_their_order(client, page, rows):
    await rows(3000)
    await opened(page, client)
    for y in (9000, 4000, 6000):
        await page.evaluate(f"scrollTo(0, {y})")
        await seen(page)
    places = await page.eval_on_selector_all(".tile", "all => all.map(one => Number(one.ariaPosInSet))")
    assert places == sorted(places)
    assert await page.get_attribute(".tile", "aria-setsize") == "3000"


@pytest.mark.parametrize("fault", ["lost", "refused"])
async def test_a_list_that_fails_is_asked_for_again_by_itself(client, page, rows, fault):
    await rows(300)
    left = 2

    async def fail(route):
        nonlocal left
        if not left:
            return await route.continue_()
        left -= 1
        if fault == "lost":
            return await route.abort("connectionreset")
        sentence = '{"error": "The database cannot be reached; please try again"}'
        return await route.fulfill(status=503, body=sentence, headers={"Retry-After": "1"})

    await page.route("**/images?*", fail)
    await page.goto(f"{client.make_url('/')}")
    words = "The service cannot be reached; it is tried again" if fault == "lost" else "The database cannot be reached"
    await page.get_by_text(words).wait_for()
    assert (await seen(page))[0] == 300
    assert await page.locator(".trouble").count() == 0


async def test_what_the_service_refuses_is_not_asked_for_again_and_again(client, page, rows):
    await rows(2000)
    await opened(page, client)
    await seen(page)
    asked = []

    async def refuse(route):
        asked.append(route.request.url)
        await route.fulfill(status=500, body='{"error": "Something went wrong"}')

    await page.route("**/images?*", refuse)
    await page.evaluate("scrollTo(0, 20_000)")
    await page.get_by_text("Something went wrong").wait_for()
    assert 0 < (await page.get_by_text("Something went wrong").bounding_box())["y"] < 900
    await page.wait_for_timeout(1500)
    assert len(asked) == 1
    await page.unroute("**/images?*", refuse)
    await page.wait_for_timeout(2000)
    await page.evaluate("scrollBy(0, 100)")
    assert len(await seen(page)) > 3
    assert await page.locator(".trouble").count() == 0


async def test_a_search_that_is_refused_leaves_nothing_of_the_one_before(client, page, rows):
    await rows(30)
    await opened(page, client)
    await seen(page)
    await page.evaluate(f"history.pushState(null, '', '?tags_all={'a' * 101}')")
    await page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    await page.locator(".trouble").wait_for()
    assert (await tiles(page), await page.inner_text(".count")) == (0, "")


async def test_a_list_that_breaks_off_goes_on_after_its_last_image(client, page, rows):
    await rows(300)
    whole = await client.get("/images?order=newest&limit=200", headers={"Accept": "application/x-ndjson"})
    half = b"".join((await whole.read()).splitlines(keepends=True)[:77])
    asked = []

    async def cut(route):
        asked.append(route.request.url)
        if len(asked) > 1:
            return await route.continue_()
        return await route.fulfill(status=200, body=half, content_type="application/x-ndjson")

    await page.route("**/images?*", cut)
    await opened(page, client)
    await seen(page)
    assert f"before={300 - 76}" in asked[1]
    assert len(set(asked)) == len(asked)


async def test_the_window_may_change_its_size(client, page, rows):
    await rows(5000)
    await opened(page, client)
    await page.evaluate("scrollTo(0, 20000)")
    first = (await seen(page))[0]
    await page.set_viewport_size({"width": 390, "height": 844})
    await asyncio.sleep(0.3)
    found = await seen(page)
    assert first - 12 <= found[0] <= first + 12
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
async def test_after_fifty_thousand_images_of_a_million_memory_is_where_it_was(client, page, rows):
    await rows(1_000_000)
    await opened(page, client)
    session = await page.context.new_cdp_session(page)

    async def heap():
        await session.send("HeapProfiler.collectGarbage")
        return (await session.send("Runtime.getHeapUsage"))["usedSize"]

    await seen(page)
    before = await heap()
    rows_of = await page.evaluate("document.querySelector('.tile').clientHeight + 6")
    columns = await page.evaluate(
        "new Set([...document.querySelectorAll('.tile')].map(one => one.getBoundingClientRect().x)).size"
    )
    for _ in range(50_000 // columns // 3):
        await page.evaluate(f"scrollBy(0, {3 * rows_of})")
        await page.wait_for_timeout(10)
    found = await seen(page)
    assert found[0] < 952_000
    assert await tiles(page) < 150
    assert await heap() < before + 5_000_000
