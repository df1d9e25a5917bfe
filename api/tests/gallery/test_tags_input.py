"""The input of tags, which the viewer, the uploads and the selection have in common."""

import re

import pytest
import pytest_asyncio

# What people and attackers call things.
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"quoted"',
    "it's",
    "-minus",
    "a|b",
    "two words",
    "paris, france",
    "שלום עולם",
    "🏝️🐚",
    "..",
    "untagged",
    "x" * 100,
]
BOX = "kt-tags#probe"


async def place(page, **properties):
    """Put an input of tags into the page, which writes down what it tells."""
    await page.evaluate(
        """(properties) => {
            const input = document.createElement("kt-tags");
            input.id = "probe";
            input.setAttribute("label", "Tags of these");
            window.told = [];
            for (const name of ["add", "remove"])
                input.addEventListener(name, (event) => window.told.push([name, event.detail]));
            document.querySelector("main").prepend(input);
            Object.assign(input, properties);
        }""",
        properties,
    )
    return page.get_by_role("combobox", name="Tags of these")


async def told(page):
    return await page.evaluate("window.told")


async def tags(page):
    return await page.evaluate(f"document.querySelector('{BOX}').tags")


async def problem(page):
    return await page.locator(f"{BOX} .problem").text_content()


@pytest_asyncio.fixture(loop_scope="session")
async def opened(client, page, rows):
    await rows(4, "case n when 1 then array['sea', 'Seaside', 'north sea'] when 4 then '{}' else array['sea'] end")
    await page.goto(f"{client.make_url('/')}")
    return page


async def test_enter_adds_what_is_typed(opened):
    field = await place(opened)
    await field.fill("  a new tag ")
    await field.press("Enter")
    assert await tags(opened) == ["a new tag"]
    assert await told(opened) == [["add", "a new tag"]]
    assert await field.input_value() == ""


async def test_enter_takes_what_is_written_and_not_what_is_suggested(opened):
    field = await place(opened)
    await field.press_sequentially("nort")
    await opened.locator(BOX).get_by_role("option").first.wait_for()
    await field.press("Enter")
    assert await tags(opened) == ["nort"]
    assert await field.get_attribute("aria-expanded") == "false"
    assert await opened.locator(BOX).get_by_role("option").first.is_hidden()


async def test_a_comma_adds_what_is_typed(opened):
    field = await place(opened)
    await field.press_sequentially("one,two,")
    assert await tags(opened) == ["one", "two"]


async def test_the_same_tag_in_other_bytes_is_the_same(opened):
    field = await place(opened, tags=["caf\u00e9"])
    await field.fill("cafe\u0301")
    await field.press("Enter")
    assert await tags(opened) == ["caf\u00e9"]
    assert await problem(opened) == "caf\u00e9 is there already."


@pytest.mark.parametrize("how", ["click", "Backspace", "arrows"])
async def test_a_tag_is_removed_by(opened, how):
    field = await place(opened, tags=["sea", "dune"])
    if how == "click":
        await opened.get_by_role("button", name="dune, remove").click()
    elif how == "Backspace":
        await field.press("Backspace")
    else:
        await field.focus()
        for key in ("ArrowLeft", "ArrowLeft", "ArrowRight", "Delete"):
            await opened.keyboard.press(key)
        assert await opened.evaluate("document.activeElement.ariaLabel") == "sea, remove"
    assert await tags(opened) == ["sea"]
    assert await told(opened) == [["remove", "dune"]]


async def test_lines_that_are_pasted_are_a_tag_each(opened):
    field = await place(opened)
    await field.focus()
    await opened.evaluate("""() => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", "sea\\r\\n\\n night sky \\nparis, france");
        document.activeElement.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
    }""")
    assert await tags(opened) == ["sea", "night sky", "paris, france"]


async def test_tags_are_completed_with_the_number_of_their_images(opened):
    field = await place(opened)
    await field.press_sequentially("sea")
    options = opened.locator(BOX).get_by_role("option")
    await options.nth(2).wait_for()
    found = [await one.text_content() for one in await options.all()]
    assert found == ["sea 3 images", "Seaside 1 image", "north sea 1 image"]
    assert await field.get_attribute("aria-expanded") == "true"
    assert await opened.locator(BOX).get_by_role("status").first.text_content() == "3 tags"
    await field.press("ArrowDown")
    await field.press("ArrowDown")
    active = await field.get_attribute("aria-activedescendant")
    assert await opened.locator(f"#{active}").get_attribute("aria-selected") == "true"
    await field.press("Enter")
    assert await tags(opened) == ["Seaside"]
    assert await field.get_attribute("aria-expanded") == "false"


async def test_what_is_there_is_not_offered(opened):
    field = await place(opened, tags=["sea"])
    await field.click()
    options = opened.locator(BOX).get_by_role("option")
    await options.nth(1).wait_for()
    assert sorted([await one.get_attribute("title") for one in await options.all()]) == ["Seaside", "north sea"]


async def test_escape_closes_the_list_and_leaves_what_is_typed(opened):
    field = await place(opened)
    await field.press_sequentially("sea")
    await opened.locator(BOX).get_by_role("option").first.wait_for()
    await field.press("Escape")
    assert await opened.locator(BOX).get_by_role("option").first.is_hidden()
    assert await field.input_value() == "sea"


async def test_a_tag_that_is_too_long_stays_to_be_mended(opened):
    field = await place(opened)
    await field.fill("ü" * 101)
    await field.press("Enter")
    assert await problem(opened) == "A tag has at most 100 characters; this one has 101."
    assert await field.input_value() == "ü" * 101
    assert await field.get_attribute("aria-invalid") == "true"
    await field.press("Backspace")
    await field.press("Enter")
    assert await tags(opened) == ["ü" * 100]


async def test_more_than_64_tags_are_too_many(opened):
    field = await place(opened, tags=[f"tag {n}" for n in range(64)])
    await field.fill("one more")
    await field.press("Enter")
    assert await problem(opened) == "An image has at most 64 tags."
    assert len(await tags(opened)) == 64
    assert await field.input_value() == "one more"


async def test_hostile_tags_are_text_and_fit(client, tab, axe):
    await tab.goto(f"{client.make_url('/')}")
    await place(tab, tags=HOSTILE)
    shown = [await one.text_content() for one in await tab.locator(f"{BOX} .chip bdi").all()]
    assert shown == HOSTILE
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await axe(tab, BOX) == []


async def test_where_nothing_may_be_written_tags_are_only_shown(client, page, serve):
    keys = await serve(access="keys-to-write")
    await page.goto(f"{keys.make_url('/')}")
    await page.get_by_role("button", name="Upload").wait_for(state="hidden")
    field = await place(page, tags=["sea"])
    assert await field.count() == 0
    assert await page.locator(f"{BOX} button").count() == 0
    assert await page.locator(f"{BOX} .chip").text_content() == "sea"


async def test_a_tag_leads_to_its_images(opened):
    await place(opened)
    await opened.evaluate(f"document.querySelector('{BOX}').setAttribute('links', '')")
    await opened.evaluate(f"document.querySelector('{BOX}').tags = ['north sea']")
    await opened.locator(BOX).get_by_role("link", name="north sea").click()
    await opened.wait_for_url(re.compile(r"\?tags_all=north\+sea$"))
    await opened.locator(".count").get_by_text("1 image", exact=True).wait_for()
