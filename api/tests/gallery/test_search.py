"""The search box: what is searched for is the address, and is shown as chips."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest_asyncio

HOSTILE = ["<img src=x onerror=alert(1)>", '"quoted"', "-minus", "a|b", "שלום עולם", "🏝️🐚", "x" * 100]


@pytest_asyncio.fixture(loop_scope="session")
async def stored(client, rows):
    """Six images: three with sea, of which one is blurred, one with a lake, one with a sky at night, one without tags."""
    tags = ["{sea}", "{sea,harbour}", "{sea,blurred}", "{lake}", '{"night sky"}', "{}"]
    await rows(6, f"(array{tags!r})[n]::text[]".replace('"{', "'{").replace('}"', "}'"))
    return client


def at(client, **query):
    return f"{client.make_url('/')}{'?' + urlencode(query, doseq=True) if query else ''}"


def asked(page):
    return parse_qs(urlsplit(page.url).query)


def box(page):
    return page.get_by_role("combobox", name="Search by tags")


async def offers(page, text):
    """Type, and give what is offered."""
    await box(page).press_sequentially(text) if text else await box(page).focus()
    await page.wait_for_timeout(700)
    return [await one.text_content() for one in await page.locator("kt-search [role=option]").all()]


async def chips(page):
    return [await one.get_attribute("aria-label") for one in await page.locator("kt-search .chip").all()]


async def finds(page, count):
    await page.locator(".count").get_by_text(f"{count} image{'' if count == 1 else 's'}", exact=True).wait_for()


async def test_an_address_is_shown_as_chips(stored, tab, axe):
    query = {"tags_all": ["sea"], "tags_any": ["lake", "harbour"], "tags_none": ["blurred"]}
    await tab.goto(at(stored, **query))
    await finds(tab, 1)
    assert await chips(tab) == ["sea, remove", "lake, remove", "or harbour, remove", "not blurred, remove"]
    assert await axe(tab) == []


async def test_enter_searches_for_what_is_written(stored, page):
    await page.goto(at(stored))
    await finds(page, 6)
    await page.keyboard.press("/")
    await page.keyboard.type("sea -blurred")
    await page.keyboard.press("Enter")
    await finds(page, 2)
    assert asked(page) == {"tags_all": ["sea"], "tags_none": ["blurred"]}
    assert await box(page).input_value() == ""
    await page.keyboard.type("|harbour|lake")
    await page.keyboard.press("Enter")
    await finds(page, 1)
    await page.go_back()
    await finds(page, 2)
    assert await chips(page) == ["sea, remove", "not blurred, remove"]


async def test_a_tag_that_is_chosen_from_the_list_is_searched_for(stored, tab, axe):
    await tab.goto(at(stored))
    assert await offers(tab, "night sk") == ["night sky 1 image"]
    assert await axe(tab) == []
    await tab.get_by_role("option", name="night sky").click()
    await finds(tab, 1)
    assert asked(tab) == {"tags_all": ["night sky"]}
    assert await chips(tab) == ["night sky, remove"]


async def test_the_most_used_tags_are_offered_at_first(stored, page):
    await page.goto(at(stored))
    assert await offers(page, "") == [
        "sea 3 images", "blurred 1 image", "harbour 1 image", "lake 1 image", "night sky 1 image", "images without tags"
    ]  # fmt: skip
    assert await page.locator("kt-search [role=status]").text_content() == "6 suggestions"
    await box(page).press("ArrowUp")
    await box(page).press("Enter")
    await finds(page, 1)
    assert asked(page) == {"untagged": ["true"]}
    assert await chips(page) == ["images without tags, remove"]


async def test_after_a_minus_tags_are_offered_to_be_left_out(stored, page):
    await page.goto(at(stored, tags_all="sea"))
    assert await offers(page, "-bl") == ["not blurred 1 image"]
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await finds(page, 2)
    assert asked(page) == {"tags_all": ["sea"], "tags_none": ["blurred"]}


async def test_after_a_bar_tags_are_offered_as_others(stored, page):
    await page.goto(at(stored))
    assert await offers(page, "lake|har") == ["harbour 1 image"]
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await finds(page, 2)
    assert asked(page) == {"tags_any": ["lake", "harbour"]}


async def test_chips_are_removed_by_click_and_by_the_keyboard(stored, page):
    await page.goto(at(stored, tags_all=["sea", "harbour"], tags_none="blurred"))
    await finds(page, 1)
    await page.get_by_role("button", name="sea, remove").click()
    await page.wait_for_url("**/?tags_all=harbour&tags_none=blurred")
    await box(page).press("Backspace")
    await page.wait_for_url("**/?tags_all=harbour")
    await page.get_by_role("button", name="harbour, remove").press("Enter")
    await finds(page, 6)
    assert asked(page) == {}
    assert await chips(page) == []


async def test_the_whole_search_is_cleared_at_once(stored, page):
    await page.goto(at(stored, tags_all="sea", tags_none="blurred"))
    await page.get_by_role("button", name="Clear the search").click()
    await finds(page, 6)
    assert await page.get_by_role("button", name="Clear the search").is_hidden()


async def test_escape_closes_the_list_and_keeps_the_text(stored, page):
    await page.goto(at(stored))
    assert await offers(page, "sea") == ["sea 3 images"]
    await page.keyboard.press("Escape")
    assert await page.get_by_role("option").count() == 0
    assert await box(page).input_value() == "sea"
    assert await box(page).get_attribute("aria-expanded") == "false"


async def test_what_no_tag_is_like_is_said(stored, page):
    await page.goto(at(stored))
    assert await offers(page, "zzz") == []
    await page.get_by_text("No tag is like this.").last.wait_for()
    await page.keyboard.press("Enter")
    await page.get_by_text("Nothing found").wait_for()


async def test_an_answer_that_comes_too_late_is_not_shown(stored, page):
    await page.goto(at(stored))

    async def late(route):
        if "prefix=s" in route.request.url and "prefix=sk" not in route.request.url:
            await page.wait_for_timeout(900)
        await route.continue_()

    await page.route("**/tags?**", late)
    await box(page).focus()
    await page.keyboard.type("s")
    await page.wait_for_timeout(300)
    await page.keyboard.type("k")
    await page.get_by_role("option", name="night sky").wait_for()
    await page.wait_for_timeout(1000)
    assert [await one.get_attribute("title") for one in await page.locator("kt-search [role=option]").all()] == [
        "night sky"
    ]


async def test_hostile_tags_are_completed_searched_for_and_shown_as_text(client, upload, phone, axe):
    await upload(client, tags=HOSTILE)
    await phone.goto(at(client))
    for start, tag in (("<i", HOSTILE[0]), ('"""q', HOSTILE[1]), ('"-m', HOSTILE[2]), ('"a|', HOSTILE[3])):
        assert await offers(phone, start) == [f"{tag} 1 image"]
        await phone.keyboard.press("ArrowDown")
        await phone.keyboard.press("Enter")
    await phone.goto(at(client, tags_all=HOSTILE))
    await finds(phone, 1)
    assert await chips(phone) == [f"{tag}, remove" for tag in HOSTILE]
    assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await axe(phone) == []


async def test_a_slash_leads_to_the_search_box(stored, page):
    await page.goto(at(stored))
    await finds(page, 6)
    await page.keyboard.press("/")
    assert await box(page).evaluate("(input) => input === document.activeElement")
    assert await box(page).input_value() == ""
