"""Whoever asks for much waits longer than whoever asks for little."""

import asyncio

import pytest

from kt_images.errors import UnavailableError
from kt_images.files.turns import Turns


async def order(turns, queues):
    """Have all ask at once while the places are taken; return in which order they were served."""
    served = []

    async def ask(queue):
        async with turns.turn(queue):
            served.append(queue)
            await asyncio.sleep(0)

    async with turns.turn(("first", ""), turns.size):
        asking = [asyncio.create_task(ask(queue)) for queue in queues]
        await asyncio.sleep(0)
    await asyncio.gather(*asking)
    return served


async def test_kinds_take_turns_and_within_them_those_who_ask():
    greedy, modest, other = ("uploads", "greedy"), ("uploads", "modest"), ("thumbnails", "")
    served = await order(Turns(1, 100), [greedy] * 6 + [modest] * 2 + [other] * 3)
    assert served == [greedy, other, modest, other, greedy, other, modest, greedy, greedy, greedy, greedy]


async def test_who_needs_all_places_gets_them_in_its_turn():
    turns, served = Turns(2, 100), []

    async def ask(who, places):
        async with turns.turn(("uploads", who), places):
            served.append(who)
            await asyncio.sleep(0.01)

    asking = [
        asyncio.create_task(ask(who, places)) for who, places in [("a", 1), ("b", 2), ("a", 1), ("c", 1), ("a", 1)]
    ]
    await asyncio.gather(*asking)
    assert served[:3] == ["a", "b", "a"]
    assert sorted(served) == ["a", "a", "a", "b", "c"]


async def test_a_kind_that_is_full_refuses_everybody_and_who_leaves_makes_room():
    turns = Turns(1, 3)

    async def ask(who):
        async with turns.turn(("uploads", who)):
            return who

    async with turns.turn(("uploads", "a")):
        waiting = [asyncio.create_task(ask(who)) for who in "abc"]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await ask("d")
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert turns._kinds == {}
    assert await ask("d") == "d"
