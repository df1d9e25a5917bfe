"""What is selected, and what can be done with all of it at once."""

import asyncio
import json

import pytest

TEN = "array['sea'] || case when n <= 4 then array['dune'] else '{}' end"


def at(client, query=""):
    return f"{client.make_url('/')}{query}"


async def pick(page, *numbers):
    """Select tiles by the names of their images."""
    for number in numbers:
        await page.get_by_role("button", name=f"Select {number}.jpg", exact=True).dispatch_event("click")


async def tags(client, number):
    return (await (await client.get(f"/images/{number}")).json())["tags"]


async def counted(client, query=""):
    return (await (await client.get(f"/images/count{query}")).json())["totalImages"]


def bar(page):
    return page.get_by_role("region", name="Selection")


async def toast(page, text):
    await page.locator(".toast").get_by_text(text).wait_for()


async def edit(page, how, *names):
    await page.keyboard.press("t")
    for name in names:
        await page.keyboard.type(name)
        await page.keyboard.press("Enter")
    await bar(page).get_by_role("button", name=how, exact=True).click()


async def test_how_many_are_selected_is_shown_with_their_tags(client, rows, tab, axe):
    await rows(10, TEN)
    await tab.goto(at(client))
    assert await bar(tab).count() == 0
    await pick(tab, 10, 4, 3)
    await bar(tab).get_by_text("3 selected", exact=True).wait_for()
    chips = [await one.text_content() for one in await bar(tab).locator(".chip").all()]
    assert chips == ["sea on all remove", "dune on 2 of 3 remove"]
    assert await tab.locator("kt-announcer").text_content() == "3 images selected"
    await tab.keyboard.press("t")
    assert await axe(tab) == []
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await bar(tab).get_by_role("button", name="Select none").click()
    await bar(tab).wait_for(state="hidden")


@pytest.mark.parametrize("key", ["x", "Space"])
async def test_with_shift_all_from_the_last_one_are_selected_by_the_keyboard(client, rows, page, key):
    await rows(10, TEN)
    await page.goto(at(client))
    await page.locator(".tile a").first.focus()
    for press in (key, "ArrowRight", "ArrowRight", f"Shift+{key.replace('x', 'X')}"):
        await page.keyboard.press(press)
    await bar(page).get_by_text("3 selected", exact=True).wait_for()


async def test_a_range_of_many_thousands_is_selected_as_a_whole(client, rows, page):
    await rows(12_345)
    await page.goto(at(client))
    await page.locator(".tile a").first.focus()
    for press in ("x", "End"):
        await page.keyboard.press(press)
    await page.locator(".tile", has_text="1.jpg").last.wait_for()
    await page.keyboard.press("Shift+Space")
    await bar(page).get_by_text("12,345 selected", exact=True).wait_for()


async def test_tags_are_added_to_what_is_selected_and_taken_back(client, rows, page):
    await rows(10, TEN)
    await page.goto(at(client))
    await pick(page, 10, 4)
    await edit(page, "Add", "beach", "dune")
    await toast(page, "Added the tags “\u2068beach\u2069” and “\u2068dune\u2069” to 2 images")
    assert (await tags(client, 10), await tags(client, 4)) == (["sea", "beach", "dune"], ["sea", "dune", "beach"])
    await bar(page).get_by_text("2 selected", exact=True).wait_for()
    await bar(page).get_by_role("button", name="beach on all remove").wait_for()
    await page.get_by_role("button", name="Undo").click()
    await bar(page).get_by_role("button", name="dune on 1 of 2 remove").wait_for()
    assert (await tags(client, 10), await tags(client, 4)) == (["sea"], ["sea", "dune"])


async def test_a_tag_is_removed_from_what_is_selected(client, rows, page):
    await rows(10, TEN)
    await page.goto(at(client))
    await pick(page, 10, 4, 3)
    await bar(page).get_by_role("button", name="dune on 2 of 3 remove").click()
    await toast(page, "Removed the tag “\u2068dune\u2069” from 3 images")
    assert (await tags(client, 4), await tags(client, 3), await tags(client, 2)) == (["sea"], ["sea"], ["sea", "dune"])
    assert "dune" not in await page.get_by_role("link", name="4.jpg").get_attribute("title")


async def test_all_that_match_are_tagged_after_a_question(client, rows, page, axe):
    await rows(2_500)
    await page.goto(at(client, "?tags_all=even"))
    await pick(page, 2500)
    await bar(page).get_by_role("button", name="Select all 1,250 that match").click()
    await bar(page).get_by_text("1,250 selected", exact=True).wait_for()
    await edit(page, "Add", "sea")
    question = page.get_by_role("dialog", name="Add the tag “\u2068sea\u2069” to 1,250 images?")
    await question.wait_for()
    assert await axe(page) == []
    assert await counted(client, "?tag=sea") == 0
    await question.get_by_role("button", name="Add").click()
    await toast(page, "Added the tag “\u2068sea\u2069” to 1,250 images")
    assert await counted(client, "?tag=sea") == 1250
    assert await counted(client, "?tags_all=sea&tags_any=odd") == 0


async def test_a_question_that_is_not_answered_changes_nothing(client, rows, page):
    await rows(300)
    await page.goto(at(client))
    await page.get_by_text("300 images", exact=True).wait_for()
    await page.keyboard.press("a")
    await bar(page).get_by_text("300 selected", exact=True).wait_for()
    await page.keyboard.press("Delete")
    await page.get_by_role("dialog", name="Delete 300 images?").wait_for()
    assert await page.evaluate("document.activeElement.textContent") == "Cancel"
    await page.keyboard.press("Enter")  # as somebody does who presses keys too fast
    await bar(page).get_by_text("300 selected", exact=True).wait_for()
    assert await counted(client) == 300


async def test_all_are_deleted_after_a_question(client, rows, page):
    await rows(300)
    await page.goto(at(client))
    await pick(page, 300)
    await bar(page).get_by_role("button", name="Select all 300").click()
    await bar(page).get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog", name="Delete 300 images?").get_by_role("button", name="Delete").click()
    await toast(page, "Deleted 300 images")
    await page.get_by_text("No images yet").wait_for()
    assert await counted(client) == 0


async def test_few_are_deleted_with_an_undo(client, rows, page):
    await rows(10)
    await page.goto(at(client))
    await pick(page, 10, 9)
    await page.keyboard.press("Delete")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await page.get_by_text("8 images", exact=True).wait_for()
    assert await counted(client) == 10
    await page.get_by_role("button", name="Undo").click()
    await page.get_by_text("10 images", exact=True).wait_for()
    assert await counted(client) == 10


async def test_a_long_change_shows_how_far_it_is_and_can_be_stopped(client, rows, page):
    await rows(30_000)
    await page.goto(at(client))
    await page.get_by_text("30,000 images", exact=True).wait_for()
    await page.keyboard.press("a")
    await edit(page, "Add", "sea")
    await page.get_by_role("dialog").get_by_role("button", name="Add").click()
    await bar(page).locator("progress:not([value='0'])").wait_for()
    stop = bar(page).get_by_role("button", name="Stop")
    assert await stop.evaluate("(button) => button === document.activeElement")
    await stop.press("Enter")
    await page.locator(".toast").get_by_text("are done, and stay so.").wait_for()
    said = await page.locator(".toast p").text_content()
    done = int(said.removeprefix("Stopped. ").split(" of 30,000 images")[0].replace(",", ""))
    await asyncio.sleep(0.5)
    assert 0 < done <= await counted(client, "?tag=sea") < 30_000


async def test_images_that_could_not_be_changed_are_named(client, rows, page):
    await rows(
        300, "case n when 7 then array(select 'tag ' || i from generate_series(1, 64) as i) else array['sea'] end"
    )
    await page.goto(at(client))
    await page.get_by_text("300 images", exact=True).wait_for()
    await page.keyboard.press("a")
    await edit(page, "Add", "one more")
    await page.get_by_role("dialog").get_by_role("button", name="Add").click()
    await toast(page, "1 image could not be changed (7): ")
    await toast(page, "Added the tag “\u2068one more\u2069” to 299 images")
    assert await counted(client, "?tag=one+more") == 299


async def test_what_others_store_meanwhile_is_not_changed_unasked(client, rows, page):
    await rows(300)
    await page.goto(at(client))
    await page.get_by_text("300 images", exact=True).wait_for()
    await page.keyboard.press("a")
    await page.keyboard.press("Delete")
    dialog = page.get_by_role("dialog", name="Delete 300 images?")
    await dialog.wait_for()
    await client.post("/images", json={"filename": "late.jpg"})
    await dialog.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Count again").click()
    await bar(page).get_by_text("301 selected", exact=True).wait_for()
    assert await counted(client) == 301


async def test_another_search_ends_the_selection_of_all_that_match(client, rows, page):
    await rows(10)
    await page.goto(at(client, "?tags_all=even"))
    await page.get_by_text("5 images", exact=True).wait_for()
    await page.keyboard.press("a")
    await bar(page).get_by_text("5 selected", exact=True).wait_for()
    await page.get_by_role("button", name="even, remove").click()
    await page.get_by_text("10 images", exact=True).wait_for()
    await bar(page).wait_for(state="hidden")


async def test_the_keyboard_stays_near_when_the_selection_ends(client, rows, page):
    await rows(10)
    await page.goto(at(client))
    await pick(page, 10)
    await page.keyboard.press("t")
    await bar(page).get_by_role("option").first.wait_for()
    await page.keyboard.press("Escape")  # the suggestions
    await page.keyboard.press("Escape")  # the form
    assert await page.evaluate("document.activeElement.title") == "Tags"
    await page.keyboard.press("Escape")  # the selection
    await bar(page).wait_for(state="hidden")
    assert await page.evaluate("document.activeElement.closest('kt-grid') !== null")


async def test_selecting_does_not_move_what_is_looked_at(client, rows, phone):
    await rows(1_000)
    await phone.goto(at(client))
    await phone.get_by_text("1,000 images", exact=True).wait_for()
    await phone.evaluate("scrollTo(0, 2000)")
    await phone.wait_for_timeout(400)
    find = "[...document.querySelectorAll('.pick')].find((one) => one.getBoundingClientRect().top > 400)"
    tile = await phone.evaluate_handle(find)
    top = "(tile) => Math.round(tile.getBoundingClientRect().top)"
    before = await tile.evaluate(top)
    await tile.evaluate("(tile) => tile.click()")
    await phone.wait_for_timeout(200)
    assert await bar(phone).is_visible()
    assert abs(await tile.evaluate(top) - before) <= 1
    await phone.keyboard.press("Escape")
    await phone.wait_for_timeout(200)
    assert abs(await tile.evaluate(top) - before) <= 1


async def test_hostile_names_and_tags_are_text_in_the_bar_and_in_questions(client, phone, axe):
    hostile = ["<img src=x onerror=alert(1)>", '"quoted"', "שלום עולם", "🏝️🐚", "x" * 100]
    answer = await client.post("/images", json={"filename": "<b>&amp;.jpg", "tags": hostile})
    number = (await answer.json())["image_id"]
    await phone.goto(at(client))
    await phone.get_by_role("button", name="Select <b>&amp;.jpg").dispatch_event("click")
    shown = [await one.text_content() for one in await bar(phone).locator(".chip bdi").all()]
    assert sorted(shown) == sorted(hostile)
    assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await bar(phone).get_by_role("button", name=f"{hostile[0]} on all").dispatch_event("click")
    await toast(phone, f"Removed the tag “\u2068{hostile[0]}\u2069” from 1 image")
    assert await tags(client, number) == hostile[1:]
    assert await axe(phone) == []


@pytest.mark.parametrize("scopes", [["read", "write"], ["read", "delete"]], ids=" ".join)
async def test_what_may_not_be_done_is_not_offered(client, rows, page, scopes):
    await rows(10)

    async def session(route):
        state = {"access": "keys", "signed_in": True, "name": "a key", "scopes": scopes}
        await route.fulfill(body=json.dumps(state), content_type="application/json")

    await page.route("**/session", session)
    await page.goto(at(client))
    await page.get_by_text("10 images", exact=True).wait_for()
    await pick(page, 10)
    await bar(page).wait_for()
    assert await bar(page).get_by_role("button", name="Tags").is_visible() == ("write" in scopes)
    assert await bar(page).get_by_role("button", name="Delete").is_visible() == ("delete" in scopes)
    assert await bar(page).get_by_role("button", name="Select all 10").count() == 0  # without a filter: for admins
