"""Files on their way in: chosen, dropped or pasted."""

import asyncio
import errno
import os

import pytest
from aiohttp.test_utils import TestClient, TestServer
from playwright.async_api import expect

from kt_images.application import create_app
from pictures import drawn

TEXT = {"name": "notes <b>.txt", "mimeType": "text/plain", "buffer": b"no picture"}
KEPT = {"timeout": 20_000}


def picture(n, name=None):
    return {
        "name": name or f"{n}.png", "mimeType": "image/png", "buffer": drawn("PNG", (20 + n % 60, 20 + n // 60)),
    }  # fmt: skip


async def choose(tab, client, files):
    if tab.url == "about:blank":
        await tab.goto(f"{client.make_url('/')}")
    await tab.set_input_files("kt-actions input[type=file]", files)
    question = tab.get_by_role("dialog", name="Upload")
    await expect(question).to_be_visible()
    return question


async def stored(client):
    found = [one for chunk in (await (await client.get("/images")).json())[:-1] for one in chunk]
    return {one["filename"]: one["tags"] for one in found}


async def total(client):
    return (await (await client.get("/images/count")).json())["totalImages"]


async def test_files_get_the_tags_that_were_set_beforehand_and_are_seen_in_the_grid(client, tab):
    question = await choose(tab, client, [picture(n) for n in range(3)])
    await expect(question.get_by_role("heading", name="Upload 3 files")).to_be_visible()
    await question.get_by_role("combobox", name="Tags for all of them").fill("sea")
    await question.get_by_role("button", name="Start").click()
    await expect(tab.get_by_role("heading", name="3 stored")).to_be_visible()
    assert await stored(client) == {f"{n}.png": ["sea"] for n in range(3)}
    await expect(tab.locator("kt-grid .tile")).to_have_count(3)


async def test_enter_starts_and_a_screen_reader_hears_the_end(client, page):
    await choose(page, client, [picture(1)])
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="1 stored")).to_be_visible()
    await expect(page.locator("kt-announcer")).to_contain_text("Uploaded: 1 stored")


async def test_what_is_there_already_is_told_and_gets_the_tags(client, page):
    for name, tag in (("a.png", "one"), ("b.png", "two")):
        question = await choose(page, client, [picture(1, name)])
        await question.get_by_role("combobox").fill(tag)
        await question.get_by_role("button", name="Start").click()
        await expect(page.get_by_role("button", name="Close").last).to_be_visible()
    await expect(page.get_by_role("heading", name="1 already there")).to_be_visible()
    await expect(page.get_by_text("Already stored; tags added")).to_be_visible()
    assert await stored(client) == {"a.png": ["one", "two"]}


async def test_what_is_no_image_is_named_and_the_others_go_on(client, tab, axe):
    await choose(tab, client, [TEXT, picture(1), picture(2)])
    assert await axe(tab) == []
    await tab.keyboard.press("Enter")
    await expect(tab.get_by_role("heading", name="2 stored, 1 failed")).to_be_visible()
    failed = tab.get_by_role("listitem").filter(has_text=TEXT["name"])
    await expect(failed).to_contain_text("not an image")
    assert await axe(tab) == []
    await failed.get_by_role("button", name="Try again").click()
    await expect(failed).to_contain_text("not an image")


async def test_a_folder_is_dropped_with_all_that_is_in_it(client, page, tmp_path):
    deep = tmp_path / "photos" / "deep"
    deep.mkdir(parents=True)
    for n in range(120):  # more than a browser gives at once
        (deep / f"{n}.png").write_bytes(picture(n)["buffer"])
    (tmp_path / "photos" / "top.png").write_bytes(picture(3000)["buffer"])
    (tmp_path / "photos" / ".hidden").write_bytes(b"")
    await page.goto(f"{client.make_url('/')}")
    session = await page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(tmp_path / "photos")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        await session.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 500, "data": data})
    await expect(page.get_by_text("Drop to upload")).to_be_visible()
    await session.send("Input.dispatchDragEvent", {"type": "drop", "x": 500, "y": 500, "data": data})
    await expect(page.get_by_role("heading", name="Upload 121 files")).to_be_visible()
    await expect(page.get_by_text("Drop to upload")).to_be_hidden()


async def test_a_picture_is_pasted(client, page):
    await page.goto(f"{client.make_url('/')}")
    await page.evaluate("""() => {
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File(['x'], 'image.png', {type: 'image/png'}));
        document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
    }""")
    await expect(page.get_by_role("heading", name="Upload 1 file")).to_be_visible()


async def test_nothing_is_lost_when_the_service_goes_away_and_comes_back(settings, page):
    server = TestServer(create_app(settings))
    async with TestClient(server) as client:
        await choose(page, client, [picture(n) for n in range(40)])
        await page.keyboard.press("Enter")
        port = server.port
        while await total(client) < 5:
            await asyncio.sleep(0.01)
    await expect(page.get_by_text("It goes on by itself")).to_be_visible()
    await expect(page.locator("kt-uploads").get_by_text("cannot be reached")).to_be_visible()
    async with TestClient(TestServer(create_app(settings), port=port)) as client:
        await expect(page.locator("#uploads-title")).to_contain_text("stored", **KEPT)
        assert await stored(client) == {f"{n}.png": [] for n in range(40)}
        await expect(page.locator("kt-uploads").get_by_text("failed")).to_have_count(0)


async def test_a_full_disk_makes_it_wait_for_somebody_to_go_on(client, page, monkeypatch):
    with monkeypatch.context() as full:

        def fail(_):
            raise OSError(errno.ENOSPC, "full")

        full.setattr(os, "fsync", fail)
        await choose(page, client, [picture(n) for n in range(4)])
        await page.keyboard.press("Enter")
        await expect(page.locator(".halt")).to_contain_text("full")
        assert await total(client) == 0
    await page.locator(".halt").get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("heading", name="4 stored")).to_be_visible()
    assert await total(client) == 4


async def test_a_file_that_is_gone_from_the_disk_is_named_and_the_others_go_on(client, page, tmp_path):
    files = [tmp_path / f"{n}.png" for n in range(3)]
    for n, file in enumerate(files):
        file.write_bytes(picture(n)["buffer"])
    await choose(page, client, files)
    files[1].unlink()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="2 stored, 1 failed")).to_be_visible(**KEPT)
    await expect(page.get_by_text("The file cannot be read any more")).to_be_visible()


async def test_leaving_asks_while_something_is_under_way(settings, page):
    server = TestServer(create_app(settings))
    async with TestClient(server) as client:
        await choose(page, client, [picture(n) for n in range(3)])
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("It goes on by itself")).to_be_visible()
    asked = asyncio.get_running_loop().create_future()

    async def answer(dialog):
        asked.set_result(dialog.type)
        await dialog.dismiss()

    page.on("dialog", answer)
    await page.close(run_before_unload=True)
    assert await asyncio.wait_for(asked, 10) == "beforeunload"
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("heading", name="3 stopped")).to_be_visible()


async def test_it_can_be_made_small_and_large_again(client, tab, axe):
    await choose(tab, client, [picture(1)])
    await tab.keyboard.press("Enter")
    await tab.get_by_role("button", name="Make small").click()
    pill = tab.get_by_role("button", name="Show the uploads")
    await expect(pill).to_be_focused()
    await expect(pill).to_contain_text("Done")
    assert await axe(tab) == []
    await tab.keyboard.press("Enter")
    await expect(tab.get_by_role("heading", name="1 stored")).to_be_visible()
    await tab.get_by_role("button", name="Close").last.click()
    await expect(tab.locator(".uploads")).to_be_hidden()


async def test_who_may_only_look_cannot_drop(serve, page):
    await page.goto(f"{(await serve(access='keys-to-write')).make_url('/')}")
    await expect(page.get_by_role("button", name="Upload")).to_be_hidden()
    await page.evaluate("""() => {
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File(['x'], 'image.png', {type: 'image/png'}));
        document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
    }""")
    await expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.slow)])
async def test_many_files_at_once_keep_the_page_small_and_quick(client, page, count):
    await page.goto(f"{client.make_url('/')}")
    # Each with bytes of its own: a picture, and a number after its end.
    await page.evaluate(
        """([bytes, count]) => {
            const dataTransfer = new DataTransfer();
            for (let n = 0; n < count; n += 1)
                dataTransfer.items.add(new File([Uint8Array.from(bytes), String(n)], `${n}.jpg`, {type: 'image/jpeg'}));
            const clipboardData = dataTransfer;
            document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
            globalThis.long = [];
            new PerformanceObserver((list) => long.push(...list.getEntries().map((one) => one.duration))).observe({type: 'longtask'});
        }""",
        [list(drawn("JPEG")), count],
    )
    await page.keyboard.press("Enter")
    title = page.locator("#uploads-title")
    while "Uploading" in (await title.text_content()):
        assert await page.locator("kt-uploads li").count() <= 60
        await page.wait_for_timeout(200)
    await expect(title).to_have_text(f"{count:,} stored")
    assert await total(client) == count
    print("long tasks, ms:", await page.evaluate("long"))


async def test_two_tabs_upload_at_the_same_time(client, page):
    other = await page.context.new_page()
    await choose(page, client, [picture(n) for n in range(10)])
    await choose(other, client, [picture(n) for n in range(5, 15)])
    for tab in (page, other):
        await tab.keyboard.press("Enter")
    for tab in (page, other):
        await expect(tab.locator("#uploads-title")).to_contain_text("stored")
    assert await total(client) == 15
