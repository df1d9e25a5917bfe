"""The promises of docs/lists.md, checked against a model while images come and go between any two chunks."""

import asyncio
import json
from contextlib import aclosing

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from kt_images.database import images
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool
from kt_images.database.selection import ImageQuery
from kt_images.database.stream import Pace, chunks
from kt_images.models.images import ImageChanges, NewImage, Order, Selection

TAGS = st.lists(st.sampled_from(["red", "blue"]), unique=True)

EFFORT = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def render(documents):
    return "\n".join(documents).encode()


class ListWhileImagesComeAndGo(RuleBasedStateMachine):
    """A table, a model of it that remembers every state, and one list in progress."""

    loop: asyncio.AbstractEventLoop
    dsn: str

    stored = Bundle("stored")

    def run(self, step):
        return asyncio.run_coroutine_threadsafe(step, self.loop).result(30)

    @initialize(
        first=st.lists(TAGS, max_size=12),
        wanted=st.sampled_from([{}, {"tags_all": ["red"]}, {"tags_none": ["red"]}, {"untagged": True}]),
        order=st.sampled_from(Order),
    )
    def begin(self, first, wanted, order):
        self.pool = self.run(self.opened())
        self.now = {}  # image_id -> tags
        self.ever = {}  # image_id -> all the tags it ever had
        self.throughout = None
        self.given = []
        self.wanted = Selection(order=order, **wanted)
        for tags in first:
            self.store(tags)
        self.throughout = {image_id for image_id, tags in self.now.items() if self.matches(tags)}
        self.stream = chunks(
            self.pool, ImageQuery(wanted=self.wanted), render, Pace(size=2, lease=0.005, crowded_lease=0.005)
        )
        self.ended = False

    async def opened(self):
        pool = Pool(self.dsn, 2, Limits())
        await pool.query("truncate images restart identity cascade")
        return pool

    def matches(self, tags):
        wanted = self.wanted
        return (
            set(wanted.tags_all) <= set(tags)
            and not set(wanted.tags_none) & set(tags)
            and not (wanted.untagged and tags)
        )

    def note(self, image_id, tags):
        self.now[image_id] = tags
        self.ever.setdefault(image_id, []).append(tags)
        if self.throughout and not self.matches(tags):
            self.throughout.discard(image_id)

    @rule(target=stored, tags=TAGS)
    def store(self, tags):
        [image] = self.run(images.create(self.pool, [NewImage(filename="x", tags=tags)]))
        self.note(image.image_id, tags)
        return image.image_id

    @rule(image_id=stored, tags=TAGS)
    def retag(self, image_id, tags):
        self.run(images.change(self.pool, image_id, ImageChanges(tags=tags)))
        self.note(image_id, tags)

    @rule(image_id=consumes(stored))
    def delete(self, image_id):
        self.run(images.delete(self.pool, image_id))
        del self.now[image_id]
        self.throughout.discard(image_id)

    @rule(target=stored)
    def delete_one_of_the_first(self):
        """Delete an image that existed before the list began, and that no other rule holds."""
        for image_id in sorted(self.throughout):
            if len(self.ever[image_id]) == 1:
                self.run(images.delete(self.pool, image_id))
                del self.now[image_id]
                self.throughout.discard(image_id)
                break
        return multiple()

    @rule(pause=st.sampled_from([0, 0, 0.02]))
    def read(self, pause):
        if self.ended:
            return
        self.run(asyncio.sleep(pause))
        chunk = self.run(anext(self.stream, None))
        if chunk is None:
            self.ended = True
            return
        self.given += [json.loads(document) for document in chunk.body.decode().split("\n")]

    @rule()
    def lose_the_sessions(self):
        end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'consistency' and pid <> pg_backend_pid()"
        self.run(self.pool.query(end))

    def teardown(self):
        if hasattr(self, "stream"):
            while not self.ended:
                self.read(0)
            self.run(self.stream.aclose())
            self.run(self.pool.close())
            self.check()

    def check(self):
        ids = [image["image_id"] for image in self.given]
        assert ids == sorted(set(ids), reverse=self.wanted.order is Order.NEWEST), "at most once, in order"
        assert self.throughout <= set(ids), "an image that matched throughout appears"
        for image in self.given:
            assert image["tags"] in self.ever[image["image_id"]], "with the tags of one moment"
            assert self.matches(image["tags"]), "and matching"


async def test_a_list_keeps_its_promises_while_images_come_and_go(dsn):
    machine = type(
        "Machine",
        (ListWhileImagesComeAndGo,),
        {"loop": asyncio.get_running_loop(), "dsn": f"{dsn} application_name=consistency"},
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=EFFORT)


async def test_the_worked_example(pool):
    """The table of docs/lists.md, moment by moment."""
    for number in (1, 2, 3, 4, 5):
        await images.create(pool, [NewImage(filename=str(number), tags=["red"])])
    await images.delete(pool, 4)
    wanted, given = Selection(tags_all=["red"]), []
    async with aclosing(chunks(pool, ImageQuery(wanted=wanted), render, Pace(size=2, lease=0.02))) as stream:
        given.append(await anext(stream))
        await asyncio.sleep(0.1)
        await images.delete(pool, 5)
        await images.change(pool, 2, ImageChanges(tags=["blue"]))
        await images.create(pool, [NewImage(filename="6", tags=["red"])])
        await images.change(pool, 3, ImageChanges(tags=["blue"]))
        await images.create(pool, [NewImage(filename="7", tags=["red"])])
        given += [chunk async for chunk in stream]
    assert ids(given) == [[1, 2], [3, 5], [6, 7]]


async def test_the_worked_example_newest_first(pool):
    for number in (1, 2, 3, 4, 5, 6):
        await images.create(pool, [NewImage(filename=str(number), tags=["red"])])
    await images.delete(pool, 4)
    wanted, given = Selection(tags_all=["red"], order=Order.NEWEST), []
    async with aclosing(chunks(pool, ImageQuery(wanted=wanted), render, Pace(size=2, lease=0.02))) as stream:
        given.append(await anext(stream))
        await asyncio.sleep(0.1)
        await images.delete(pool, 2)
        await images.change(pool, 1, ImageChanges(tags=["blue"]))
        await images.create(pool, [NewImage(filename="7", tags=["red"])])
        given += [chunk async for chunk in stream]
    assert ids(given) == [[6, 5], [3, 2]]


def ids(given):
    return [[json.loads(document)["image_id"] for document in chunk.body.decode().split("\n")] for chunk in given]
