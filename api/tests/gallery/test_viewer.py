"""An image that is looked at: over the full window, with all that is known of it."""

import re
from io import BytesIO

import pytest
from playwright.async_api import expect

from pictures import drawn

BIG = drawn("JPEG", (2400, 1600))
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "\"quoted\" & 'so'",
    "\u202egpj.live",
    "שלום",
    "👩‍👩‍👧‍👦 family",
    "z" * 90,
]


async def opened(tab, client, image_id, query=""):
    await tab.goto(f"{client.make_url('/')}{query}#image/{image_id}")
    await expect(tab.get_by_role("dialog")).to_be_visible()
    return tab.locator("dialog.viewer")


async def tags_of(client, image_id):
    return (await (await client.get(f"/images/{image_id}")).json())["tags"]


async def scale(viewer):
    return await viewer.locator(".box").evaluate("box => box.getBoundingClientRect().width / box.offsetWidth")


async def test_an_image_opens_over_the_window_and_back_closes_it(client, upload, tab):
    first = await upload(client)
    await tab.goto(f"{client.make_url('/')}")
    await tab.get_by_role("link", name="a.jpg").click()
    viewer = tab.get_by_role("dialog", name="a.jpg")
    await expect(viewer.get_by_role("img", name="a.jpg")).to_be_visible()
    assert tab.url.endswith(f"#image/{first}")
    await tab.go_back()
    await expect(viewer).to_be_hidden()
    assert "#" not in tab.url
    await expect(tab.get_by_role("link", name="a.jpg")).to_be_focused()


async def test_a_shared_link_opens_an_image_that_the_list_does_not_have(client, upload, page):
    first = await upload(client, "shared.jpg", ["sea"])
    viewer = await opened(page, client, first, "?tags_all=land")
    await expect(viewer.get_by_role("heading", name="shared.jpg")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()
    assert page.url.endswith("?tags_all=land")


async def test_arrow_keys_and_buttons_lead_to_older_and_newer_images(client, upload, tab):
    ids = [await upload(client, f"{n}.jpg") for n in range(4)]
    await tab.goto(f"{client.make_url('/')}")
    await tab.get_by_role("link", name="2.jpg").click()
    viewer = tab.locator("dialog.viewer")
    await expect(viewer.get_by_role("status").first).to_contain_text("2 of 4")
    await tab.keyboard.press("ArrowRight")
    await expect(viewer.get_by_role("heading", name="1.jpg")).to_be_visible()
    assert tab.url.endswith(f"#image/{ids[1]}")
    await viewer.get_by_role("button", name="Newer image").click()
    await viewer.get_by_role("button", name="Newer image").click()
    await expect(viewer.get_by_role("heading", name="3.jpg")).to_be_visible()
    await expect(viewer.get_by_role("button", name="Newer image")).to_be_hidden()
    await tab.go_back()
    await expect(viewer).to_be_hidden()
    await expect(tab.get_by_role("link", name="3.jpg")).to_be_focused()


async def test_the_pictures_on_both_sides_are_fetched_ahead(client, upload, page):
    first, second, third = [await upload(client, f"{n}.jpg") for n in range(3)]
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    viewer = await opened(page, client, second)
    await expect(viewer.get_by_role("heading", name="1.jpg")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    for one in (first, third):
        assert f"{client.make_url(f'/images/{one}/thumbnail?width=1280')}" in asked


async def touch(tab, *points):
    """Move fingers from the first points to the last."""
    session = await tab.context.new_cdp_session(tab)
    for at, fingers in enumerate(points):
        kind = "touchMove" if at else "touchStart"
        await session.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in fingers]}
        )
    await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


async def test_a_swipe_leads_to_the_next_image(client, upload, phone):
    await upload(client, "older.jpg")
    viewer = await opened(phone, client, await upload(client, "newer.jpg"))
    await expect(viewer.get_by_role("heading", name="newer.jpg")).to_be_visible()
    await touch(phone, [(300, 400)], [(260, 402)], [(150, 405)], [(90, 405)])
    await expect(viewer.get_by_role("heading", name="older.jpg")).to_be_visible()
    await touch(phone, [(90, 400)], [(150, 402)], [(260, 405)])
    await expect(viewer.get_by_role("heading", name="newer.jpg")).to_be_visible()


async def test_two_fingers_and_a_double_tap_zoom(client, upload, phone):
    viewer = await opened(phone, client, await upload(client, content=BIG))
    await expect(viewer.locator(".box")).to_be_visible()
    await touch(phone, [(180, 400), (210, 400)], [(150, 400), (240, 400)], [(120, 400), (270, 400)])
    assert await scale(viewer) > 2
    await phone.keyboard.press("0")
    for _ in range(2):
        await touch(phone, [(200, 400)])
    await expect(viewer.locator(".stage")).to_have_class(re.compile("is-zoomed"))


async def test_keys_wheel_and_mouse_zoom_and_the_original_is_shown_then(client, upload, page):
    viewer = await opened(page, client, await upload(client, content=BIG))
    await expect(viewer.locator(".box")).to_be_visible()
    await expect(page.locator(".viewer.is-loaded")).to_be_visible()
    picture = viewer.locator(".box img").last
    assert "width=1280" in await picture.get_attribute("src")
    await page.keyboard.press("+")
    await expect(picture).to_have_attribute("src", re.compile("sha256="))
    await page.wait_for_timeout(250)
    assert await scale(viewer) == pytest.approx(1.5, abs=0.01)
    before = await picture.bounding_box()
    await page.keyboard.press("ArrowRight")
    await page.wait_for_timeout(250)
    assert (await picture.bounding_box())["x"] < before["x"]
    assert "image/1" in page.url
    await page.keyboard.press("0")
    await page.wait_for_timeout(250)
    await page.mouse.move(500, 450)
    await page.mouse.wheel(0, -300)
    await page.wait_for_timeout(250)
    assert await scale(viewer) > 1.5
    await page.mouse.click(500, 450)
    await page.wait_for_timeout(250)
    assert await scale(viewer) == pytest.approx(1, abs=0.01)
    await page.mouse.click(500, 450)
    await page.wait_for_timeout(250)
    assert await scale(viewer) == pytest.approx(2.5, abs=0.01)


async def test_a_small_picture_is_not_blown_up(client, upload, page):
    viewer = await opened(page, client, await upload(client, content=drawn("PNG", (64, 48))))
    await expect(page.locator(".viewer.is-loaded")).to_be_visible()
    assert await viewer.locator(".box").evaluate("box => [box.offsetWidth, box.offsetHeight]") == [64, 48]


async def test_what_is_known_of_the_file_is_shown(client, upload, tab):
    content = drawn("JPEG", (1500, 1000))
    viewer = await opened(tab, client, await upload(client, "a.jpg", content=content))
    details = viewer.get_by_role("complementary", name="Details")
    await expect(details).to_contain_text("1500 \u00d7 1000")
    await expect(details).to_contain_text("JPEG")
    await expect(details).to_contain_text("kB")
    await expect(details).to_contain_text("SHA-256")
    async with tab.expect_download() as found:
        await details.get_by_role("link", name="Download original").click()
    download = await found.value
    assert download.suggested_filename == "a.jpg"
    assert (await download.path()).read_bytes() == content


async def test_the_link_and_the_checksum_can_be_copied(client, upload, page):
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first = await upload(client)
    viewer = await opened(page, client, first)
    await viewer.get_by_role("button", name="Copy link").click()
    await expect(page.locator("kt-announcer")).to_contain_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == f"{client.make_url('/')}#image/{first}"
    await viewer.get_by_role("button", name="Copy the SHA-256").click()
    await page.wait_for_timeout(100)
    sha256 = (await (await client.get(f"/images/{first}/attachments")).json())[0]["sha256"]
    assert await page.evaluate("navigator.clipboard.readText()") == sha256


async def test_tags_are_changed_and_found(client, upload, tab):
    first = await upload(client, tags=["sea"])
    viewer = await opened(tab, client, first)
    await expect(viewer.get_by_role("link", name="sea")).to_be_visible()
    await tab.keyboard.press("t")
    await tab.keyboard.type("boat")
    await tab.keyboard.press("Enter")
    await expect(viewer.get_by_role("link", name="boat")).to_be_visible()
    await tab.wait_for_load_state("networkidle")
    assert await tags_of(client, first) == ["sea", "boat"]
    await viewer.get_by_role("link", name="boat").click()
    await expect(viewer).to_be_hidden()
    assert tab.url.endswith("?tags_all=boat")


async def test_tags_that_cannot_be_saved_stay_with_the_words_of_the_service(client, upload, page):
    first = await upload(client, tags=["sea"])
    viewer = await opened(page, client, first)
    await expect(viewer.get_by_role("link", name="sea")).to_be_visible()
    await client.delete(f"/images/{first}")
    await page.keyboard.press("t")
    await page.keyboard.type("boat")
    await page.keyboard.press("Enter")
    await expect(viewer.get_by_role("alert")).to_contain_text("is not found")
    await expect(viewer.get_by_role("alert").get_by_role("button", name="Try again")).to_be_visible()
    await expect(viewer.get_by_role("link", name="boat")).to_be_visible()


async def test_a_name_is_changed_and_what_is_refused_stays_as_it_was_typed(client, upload, tab):
    first = await upload(client)
    viewer = await opened(tab, client, first)
    await viewer.get_by_role("button", name="Rename").click()
    field = viewer.get_by_role("textbox", name="Name")
    await field.fill("a/b.jpg")
    await tab.keyboard.press("Enter")
    refusal = "filename: A filename is 1 to 255 bytes of UTF-8, without slashes, backslashes and control characters"
    await expect(viewer.get_by_role("alert").first).to_have_text(refusal)
    await expect(field).to_have_value("a/b.jpg")
    await field.fill("b.jpg")
    await viewer.get_by_role("button", name="Try again").click()
    await expect(viewer.get_by_role("heading", name="b.jpg")).to_be_visible()
    assert (await (await client.get(f"/images/{first}")).json())["filename"] == "b.jpg"


async def test_what_was_typed_is_there_again_after_other_images(client, upload, page):
    await upload(client, "older.jpg")
    viewer = await opened(page, client, await upload(client, "newer.jpg"))
    await expect(viewer.get_by_role("heading", name="newer.jpg")).to_be_visible()
    await page.keyboard.press("n")
    await viewer.get_by_role("textbox", name="Name").fill("half a na")
    await viewer.get_by_role("button", name="Older image").click()
    await expect(viewer.get_by_role("heading", name="older.jpg")).to_be_visible()
    await viewer.get_by_role("button", name="Newer image").click()
    await expect(viewer.get_by_role("textbox", name="Name")).to_have_value("half a na")


async def test_escape_leaves_a_field_before_it_leaves_the_viewer(client, upload, page):
    viewer = await opened(page, client, await upload(client))
    await expect(viewer.get_by_role("heading", name="a.jpg")).to_be_visible()
    await page.keyboard.press("n")
    await page.keyboard.press("Escape")
    await expect(viewer.get_by_role("heading", name="a.jpg")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()


async def test_an_image_that_is_gone_is_told_in_words(client, tab):
    viewer = await opened(tab, client, 99)
    await expect(viewer.get_by_role("heading", name="This image is not here")).to_be_visible()
    await expect(viewer.get_by_role("button", name="Delete")).to_be_hidden()


async def test_an_image_without_a_file_is_shown_calmly(client, rows, tab, axe):
    await rows(1)
    viewer = await opened(tab, client, 1)
    await expect(viewer.get_by_role("heading", name="No picture")).to_be_visible()
    await expect(viewer.get_by_role("heading", name="1.jpg")).to_be_visible()
    assert await axe(tab) == []


async def test_all_files_of_an_image_are_listed(client, upload, page):
    first = await upload(client)
    for name in ("b.png", "c.png"):
        await client.post(f"/images/{first}/attachment/{name}", data={"image": BytesIO(drawn("PNG"))})
    viewer = await opened(page, client, first)
    await expect(viewer.get_by_role("heading", name="Other files (2)")).to_be_visible()
    await expect(viewer.get_by_role("link", name="Download c.png")).to_be_visible()


async def test_who_may_only_look_is_offered_nothing_else(serve, upload, client, page):
    first = await upload(client, tags=["sea"])
    viewer = await opened(page, await serve(access="keys-to-write"), first)
    await expect(viewer.get_by_role("link", name="sea")).to_be_visible()
    await expect(viewer.get_by_role("button", name="Delete")).to_be_hidden()
    await expect(viewer.get_by_role("button", name="Rename")).to_have_count(0)
    await expect(viewer.get_by_role("textbox")).to_have_count(0)
    await page.keyboard.press("Delete")
    await page.keyboard.press("n")
    await expect(page.get_by_role("dialog")).to_have_count(1)


async def test_names_and_tags_are_text_whatever_they_hold(client, tab):
    for name in HOSTILE:
        await client.post("/images", json={"filename": name, "tags": [name, "a"]})
    viewer = await opened(tab, client, len(HOSTILE))
    for name in reversed(HOSTILE):
        await expect(viewer.locator(".name h2")).to_have_text(name)
        await expect(viewer.locator(".chips a").first).to_have_text(name)
        assert await viewer.locator("img[src='x']").count() == 0
        assert await viewer.evaluate("one => one.scrollWidth - one.clientWidth") <= 0
        await tab.keyboard.press("ArrowRight")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_the_viewer(client, upload, tab, axe, scheme):
    await tab.emulate_media(color_scheme=scheme)
    await upload(client, "other.jpg")
    viewer = await opened(tab, client, await upload(client, tags=["sea", "boat"]))
    await expect(viewer.get_by_text("SHA-256")).to_be_visible()
    await expect(tab.locator(".viewer.is-loaded")).to_be_visible()
    assert await axe(tab) == []
    await tab.keyboard.press("n")
    assert await axe(tab) == []


async def test_a_question_mark_shows_the_keys_of_the_viewer(client, upload, page, axe):
    await opened(page, client, await upload(client))
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Shortcuts")).to_contain_text("In the viewer")
    assert await axe(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("heading", name="a.jpg")).to_be_visible()
    await expect(page.locator("dialog.viewer")).to_be_visible()


async def test_the_details_can_be_put_away(client, upload, page):
    viewer = await opened(page, client, await upload(client))
    await viewer.get_by_role("button", name="Details").click()
    await expect(viewer.get_by_role("complementary")).to_be_hidden()
    await page.keyboard.press("i")
    await expect(viewer.get_by_role("complementary")).to_be_visible()


async def test_back_and_forward_open_and_close_it_and_all_of_it_is_reached_by_tab(client, upload, page):
    await upload(client, tags=["sea"])
    await page.goto(f"{client.make_url('/')}")
    await page.get_by_role("link", name="a.jpg").press("Enter")
    viewer = page.locator("dialog.viewer")
    await expect(viewer.get_by_role("link", name="Download original")).to_be_visible()
    reached = []
    for _ in range(14):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent.trim()")
        )
    assert {"Close", "Zoom in", "Delete", "Details", "Rename", "Download original", "Copy link"} <= set(reached)
    await page.go_back()
    await expect(viewer).to_be_hidden()
    await page.go_forward()
    await expect(viewer).to_be_visible()
