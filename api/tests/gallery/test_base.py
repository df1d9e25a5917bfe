"""What these tests stand on: nothing that goes wrong in the browser goes unnoticed."""

import pytest

ERRORS = {
    "console.error('seen on the console')": "seen on the console",
    "setTimeout(() => { throw new Error('thrown by a script'); })": "uncaught: thrown by a script",
    "document.head.append(Object.assign(document.createElement('script'), {src: 'http://127.0.0.1:1/x.js'}))": "Content Security Policy",
    "new Image().src = '/gallery/none.png'": "404",
}


@pytest.mark.parametrize("script", ERRORS)
async def test_an_error_in_the_browser_is_a_complaint(client, page, complaints, script):
    await page.goto(f"{client.make_url('/oas')}")
    await page.evaluate(script)
    for _ in range(100):
        if complaints:
            break
        await page.wait_for_timeout(50)
    complaints.take(ERRORS[script])


async def test_a_status_of_the_api_is_none(client, page):
    await page.goto(f"{client.make_url('/oas')}")
    assert await page.evaluate("fetch('/images/1').then(answer => answer.status)") == 404


async def test_axe_finds_a_picture_without_a_text(client, tab, axe):
    await tab.goto(f"{client.make_url('/oas')}")
    await tab.evaluate("document.body.append(Object.assign(new Image(), {id: 'mute'}))")
    assert any(one.startswith("image-alt") and "#mute" in one for one in await axe(tab))


async def test_images_with_and_without_files_can_be_stored(client, upload, rows):
    await rows(3)
    assert await upload(client, "b.png", ["a", "b"]) == 4
    chunks = await (await client.get("/images")).json()
    assert [(one["filename"], one["tags"]) for one in chunks[0]] == [
        ("1.jpg", ["odd"]), ("2.jpg", ["even"]), ("3.jpg", ["odd"]), ("b.png", ["a", "b"])
    ]  # fmt: skip
