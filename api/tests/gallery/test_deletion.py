"""Deleting an image, and having it back while there is time."""

from aiohttp.test_utils import TestClient, TestServer
from playwright.async_api import expect

from kt_images.application import create_app


async def deleted(tab, client, image_id):
    """Delete an image in the viewer."""
    await tab.goto(f"{client.make_url('/')}#image/{image_id}")
    await tab.get_by_role("button", name="Delete").click()
    await tab.get_by_role("dialog", name="Delete").get_by_role("button", name="Delete").click()
    toast = tab.locator(".toast")
    await expect(toast).to_be_visible()
    return toast


async def status(client, image_id):
    return (await client.get(f"/images/{image_id}")).status


async def shown(tab, name):
    return await tab.locator("kt-grid").get_by_text(name, exact=True).count()


async def test_it_asks_first_and_keep_keeps_it(client, upload, tab, axe):
    first = await upload(client)
    await tab.goto(f"{client.make_url('/')}#image/{first}")
    await expect(tab.get_by_role("heading", name="a.jpg")).to_be_visible()
    await tab.keyboard.press("Delete")
    question = tab.get_by_role("dialog", name="Delete a.jpg?")
    await expect(question.get_by_role("button", name="Delete")).to_be_focused()
    assert await axe(tab) == []
    await question.get_by_role("button", name="Cancel").click()
    await expect(tab.locator(".toast")).to_have_count(0)
    await expect(tab.get_by_role("heading", name="a.jpg")).to_be_visible()


async def test_it_goes_at_once_and_undo_brings_it_back(client, upload, tab, axe):
    other, first = await upload(client, "other.jpg"), await upload(client, "mine.jpg")
    toast = await deleted(tab, client, first)
    await expect(tab.get_by_role("heading", name="other.jpg")).to_be_visible()
    assert tab.url.endswith(f"#image/{other}")
    assert await shown(tab, "mine.jpg") == 0
    assert await axe(tab) == []
    assert await status(client, first) == 200
    await toast.get_by_role("button", name="Undo").click()
    await expect(tab.get_by_role("heading", name="mine.jpg")).to_be_visible()
    await expect(tab.locator("kt-grid").get_by_text("mine.jpg")).to_have_count(1)
    await expect(toast).to_have_count(0)
    await tab.reload()
    assert await status(client, first) == 200


async def test_the_last_one_leads_back_to_the_list_and_z_undoes(client, upload, page):
    first = await upload(client)
    await deleted(page, client, first)
    await expect(page.locator("dialog.viewer")).to_be_hidden()
    await page.keyboard.press("z")
    await expect(page.locator("kt-grid").get_by_text("a.jpg")).to_have_count(1)
    assert await status(client, first) == 200


async def test_the_service_is_told_when_the_time_is_over_but_not_while_it_is_looked_at(client, upload, page):
    await page.clock.install()
    first = await upload(client)
    await upload(client, "other.jpg")
    toast = await deleted(page, client, first)
    await toast.hover()
    await page.clock.run_for(20_000)
    assert await status(client, first) == 200
    await page.mouse.move(700, 10)
    await page.clock.run_for(9_000)
    await expect(toast).to_have_count(0)
    await page.wait_for_load_state("networkidle")
    assert await status(client, first) == 404


async def test_what_is_deleted_stays_away_while_the_list_is_asked_for_again(client, upload, page):
    await upload(client, "other.jpg")
    await deleted(page, client, await upload(client, "mine.jpg"))
    await page.keyboard.press("Escape")
    await page.evaluate("history.pushState(null, '', '/?tags_none=x'); dispatchEvent(new PopStateEvent('popstate'))")
    await expect(page.locator("kt-grid").get_by_text("other.jpg")).to_have_count(1)
    assert await shown(page, "mine.jpg") == 0


async def test_leaving_the_page_deletes(client, upload, page):
    first = await upload(client)
    await deleted(page, client, first)
    await page.goto("about:blank")
    for _ in range(50):
        if await status(client, first) == 404:
            break
        await page.wait_for_timeout(100)
    assert await status(client, first) == 404


async def test_a_failure_brings_it_back_and_says_why(settings, upload, page):
    server = TestServer(create_app(settings))
    async with TestClient(server) as client:
        port = server.port
        first = await upload(client)
        toast = await deleted(page, client, first)
    await toast.get_by_role("button", name="Dismiss").click()
    await expect(toast).to_contain_text("a.jpg could not be deleted. The service cannot be reached")
    server = TestServer(create_app(settings), port=port)
    async with TestClient(server) as client:
        await expect(page.locator("kt-grid").get_by_text("a.jpg")).to_have_count(1, timeout=15_000)
        await toast.get_by_role("button", name="Try again").click()
        await expect(page.locator("kt-grid").get_by_text("a.jpg")).to_have_count(0)
        await toast.get_by_role("button", name="Dismiss").click()
        await page.wait_for_load_state("networkidle")
        assert await status(client, first) == 404


async def test_two_hundred_go_and_come_back_together(client, rows, page):
    await rows(200)
    await page.goto(f"{client.make_url('/')}")
    await expect(page.get_by_text("200 images")).to_be_visible()
    remove = """async (count) => {
        const { remove } = await import(document.querySelector('link[href*="/deletion-"]').href);
        remove(Array.from({length: count}, (_, n) => ({image_id: n + 1, filename: `${n + 1}.jpg`, tags: []})));
    }"""
    await page.evaluate(remove, 199)
    await expect(page.locator(".count")).to_have_text("1 image")
    await page.keyboard.press("z")
    await expect(page.locator(".count")).to_have_text("200 images")
    await page.evaluate(remove, 199)
    await page.get_by_role("button", name="Dismiss").click()
    await page.wait_for_load_state("networkidle")
    assert (await (await client.get("/images/count")).json())["totalImages"] == 1


async def test_what_somebody_else_deleted_is_told_in_words_and_goes_from_the_list(client, upload, page):
    first = await upload(client)
    await upload(client, "other.jpg")
    await page.goto(f"{client.make_url('/')}")
    await expect(page.locator("kt-grid").get_by_text("a.jpg")).to_have_count(1)
    await client.delete(f"/images/{first}")
    await page.get_by_role("link", name="a.jpg").click()
    await expect(page.get_by_role("heading", name="This image is not here")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog.viewer")).to_be_hidden()
    await expect(page.locator(".count")).to_have_text("1 image")


async def test_another_tab_sees_it_go_and_come_back(client, upload, page):
    first = await upload(client)
    await page.goto(f"{client.make_url('/')}")
    tile = page.locator("kt-grid").get_by_text("a.jpg")
    await expect(tile).to_have_count(1)
    other = await page.context.new_page()
    toast = await deleted(other, client, first)
    await expect(tile).to_have_count(0)
    await toast.get_by_role("button", name="Undo").click()
    await expect(tile).to_have_count(1)
