"""Signing in and out of the page with a key, and what a key may not do."""

import asyncio

import pytest

from kt_images.base_settings import Access
from pictures import drawn

WRONG = "The key is not valid: it is misspelt or was revoked"


@pytest.fixture
def new_key(client):
    """Make a key by an open service; give it as the service shows it."""

    async def make(*scopes, name="a test"):
        return await (await client.post("/keys", json={"name": name, "scopes": [*scopes]})).json()

    return make


@pytest.fixture
def bearing():
    return lambda key: {"Authorization": f"Bearer {key['key']}"}


async def sign_in(page, key):
    await page.get_by_label("Key", exact=True).fill(key["key"] if isinstance(key, dict) else key)
    await page.get_by_role("button", name="Sign in").last.click()


def home(client):
    return str(client.make_url("/"))


async def test_where_keys_are_needed_one_signs_in_and_sees_the_images(serve, tab, new_key, rows):
    await rows(3)
    client = await serve(access=Access.KEYS)
    await tab.goto(home(client))
    dialog = tab.get_by_role("dialog", name="Sign in")
    await dialog.wait_for()
    assert await tab.get_by_role("listitem").count() == 0
    await sign_in(tab, await new_key("read"))
    await dialog.wait_for(state="hidden")
    await tab.get_by_text("3 images").wait_for()
    assert await tab.get_by_role("listitem").count() == 3
    await tab.reload()
    await tab.get_by_text("3 images").wait_for()
    assert not await dialog.is_visible()
    (cookie,) = await tab.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert await tab.evaluate("document.cookie") == ""


async def test_a_wrong_key_is_told_in_the_service_s_words_and_kept_for_correction(serve, page, new_key):
    client = await serve(access=Access.KEYS)
    key = await new_key("read")
    await page.goto(home(client))
    await sign_in(page, "")
    await page.get_by_text("Paste the key here").wait_for()
    await sign_in(page, key["key"][:-1])
    alert = page.get_by_role("alert").filter(has_text=WRONG)
    await alert.wait_for()
    field = page.get_by_label("Key", exact=True)
    assert await field.input_value() == key["key"][:-1]
    assert await field.get_attribute("aria-invalid") == "true"
    await sign_in(page, key)
    await page.get_by_role("dialog").wait_for(state="hidden")


async def test_it_cannot_be_closed_where_nothing_may_be_seen_without_a_key(serve, page, new_key):
    client = await serve(access=Access.KEYS)
    await page.goto(home(client))
    dialog = page.get_by_role("dialog", name="Sign in")
    await dialog.wait_for()
    for _ in range(3):
        await page.keyboard.press("Escape")
    await page.wait_for_timeout(300)
    await dialog.wait_for()
    assert not await page.get_by_role("button", name="Not now").is_visible()
    # By the keyboard alone.
    await page.get_by_label("Key", exact=True).focus()
    await page.keyboard.insert_text((await new_key("read"))["key"])
    await page.keyboard.press("Enter")
    await dialog.wait_for(state="hidden")


async def test_where_all_may_look_signing_in_is_offered_and_what_needs_a_key_is_not(serve, tab, new_key, rows):
    await rows(2)
    client = await serve(access=Access.KEYS_TO_WRITE)
    await tab.goto(home(client))
    await tab.get_by_text("2 images").wait_for()
    assert not await tab.get_by_role("dialog").is_visible()
    enter = tab.get_by_role("button", name="Sign in")
    await enter.click()
    assert not await tab.get_by_role("button", name="Upload").is_visible()
    await tab.get_by_role("button", name="Not now").click()
    await enter.click()
    await sign_in(tab, await new_key("read", "write"))
    await tab.get_by_role("button", name="Upload").wait_for()


async def test_signing_out_leaves_nothing_on_the_page(serve, tab, new_key, rows):
    await rows(2)
    client = await serve(access=Access.KEYS)
    await tab.goto(home(client))
    await sign_in(tab, await new_key("read", name="Ada's <b>key</b>"))
    await tab.get_by_text("2 images").wait_for()
    await tab.get_by_role("button", name="Sign out (Ada's <b>key</b>)").click()
    await tab.get_by_role("dialog", name="Sign in").wait_for()
    assert await tab.get_by_role("listitem").count() == 0
    assert await tab.context.cookies() == []


async def test_a_session_that_ends_is_asked_for_again_and_one_stays_where_one_was(
    serve, page, client, new_key, bearing, rows
):
    await rows(4)
    guarded = await serve(access=Access.KEYS)
    key, other = await new_key("read"), await new_key("read")
    await page.goto(home(guarded) + "?tags_all=odd")
    await sign_in(page, key)
    await page.get_by_text("2 images").wait_for()
    admin = await new_key("admin", "read")
    await guarded.delete(f"/keys/{key['id']}", headers=bearing(admin))
    await page.get_by_role("link", name="All images").click()
    dialog = page.get_by_role("dialog", name="Sign in")
    await dialog.wait_for()
    await page.get_by_text("The session has ended; sign in again").first.wait_for()
    await sign_in(page, other)
    await page.get_by_text("4 images").wait_for()


async def test_a_service_that_is_away_is_told_and_the_key_is_kept(serve, page, new_key):
    client = await serve(access=Access.KEYS)
    key = await new_key("read")
    await page.goto(home(client))
    await page.get_by_role("dialog", name="Sign in").wait_for()
    await page.context.set_offline(True)
    await sign_in(page, key)
    await page.get_by_text("The service cannot be reached. Try again in a moment.").wait_for()
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Sign in").last.click()
    await page.get_by_role("dialog").wait_for(state="hidden")


async def test_an_open_service_offers_no_signing_in(client, page):
    await page.goto(home(client))
    await page.get_by_text("No images yet").wait_for()
    assert await page.get_by_role("button", name="Sign in").count() == 0
    assert await page.get_by_role("button", name="Upload").is_visible()


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_axe_finds_nothing_in_the_dialog(serve, browse, axe, colours):
    client = await serve(access=Access.KEYS)
    page = await browse(color_scheme=colours)
    await page.goto(home(client))
    await page.get_by_role("dialog", name="Sign in").wait_for()
    assert await axe(page) == []
    await sign_in(page, "nonsense")
    await page.get_by_role("alert").filter(has_text=WRONG).wait_for()
    assert await axe(page) == []


async def test_the_dialog_fits_a_narrow_phone_and_twice_the_size(serve, browse):
    client = await serve(access=Access.KEYS)
    page = await browse({"viewport": {"width": 360, "height": 640}})
    await page.goto(home(client))
    await page.get_by_role("dialog", name="Sign in").wait_for()
    for zoom in ("1", "2"):
        await page.evaluate(f"document.documentElement.style.setProperty('zoom', {zoom})")
        box = await page.locator("dialog[open]").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        await asyncio.sleep(0)


async def test_below_a_path_the_session_is_for_that_path_alone(serve, page, new_key, rows):
    await rows(2)
    client = await serve(access=Access.KEYS, base_path="/pics")
    await page.goto(str(client.make_url("/pics/")))
    await sign_in(page, await new_key("read"))
    await page.get_by_text("2 images").wait_for()
    (cookie,) = await page.context.cookies()
    assert cookie["path"] == "/pics"
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("dialog", name="Sign in").wait_for()
    assert await page.context.cookies() == []


async def test_what_is_done_in_one_tab_is_known_in_the_other(serve, page, new_key, rows):
    await rows(3)
    client = await serve(access=Access.KEYS_TO_WRITE)
    other = await page.context.new_page()
    for one in (other, page):
        await one.goto(home(client))
        await one.get_by_text("3 images").wait_for()
        await one.locator(".tile").first.hover()
        assert await one.get_by_role("button", name="Select 3.jpg").count() == 0
    await page.get_by_role("button", name="Sign in").click()
    await sign_in(page, await new_key("read", "write"))
    await other.get_by_role("button", name="Upload").wait_for()
    await page.get_by_role("button", name="Sign out (a test)").wait_for()
    assert await page.evaluate("document.activeElement.title") == "Sign out (a test)"
    await page.get_by_role("button", name="Sign out (a test)").click()
    await other.get_by_role("button", name="Sign in").wait_for()
    assert not await other.get_by_role("button", name="Upload").is_visible()
    assert not await other.locator(".pick").first.is_visible()


async def test_uploads_go_on_with_the_next_session_by_themselves(serve, page, new_key):
    served = await serve(access=Access.KEYS_TO_WRITE)
    await page.goto(home(served))
    await page.get_by_role("button", name="Sign in").click()
    key = await new_key("read", "write")
    await sign_in(page, key)
    await page.get_by_role("button", name="Upload").wait_for()
    await page.context.clear_cookies()
    files = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": drawn("PNG", (40 + n, 30))} for n in range(5)]
    await page.locator("kt-actions input").set_input_files(files)
    await page.get_by_role("button", name="Start").click()
    await page.get_by_text("Sign in, and it goes on", exact=True).wait_for()
    await page.get_by_role("button", name="Upload").wait_for(state="hidden")
    await sign_in(page, key)
    await page.get_by_role("heading", name="5 stored").wait_for()


async def test_a_shared_link_shows_its_image_once_one_has_signed_in(serve, client, page, new_key, upload):
    image = await upload(client, "sea.jpg")
    guarded = await serve(access=Access.KEYS)
    await page.goto(home(guarded) + f"#image/{image}")
    await sign_in(page, await new_key("read"))
    await page.locator("kt-viewer dialog.is-loaded").wait_for()
    assert not await page.get_by_text("This image cannot be shown now").is_visible()
