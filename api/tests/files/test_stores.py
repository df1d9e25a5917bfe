"""What every store promises: one suite for all of them."""

import asyncio
import hashlib
import time

import pytest

from kt_images.base_settings import Settings
from kt_images.errors import DamagedStoreError, OtherStoreError, TooLargeError, UnavailableError
from kt_images.files import keys
from kt_images.files.disk import Disk
from kt_images.files.store import read_all
from kt_images.files.stores import store_of

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB, in more than one piece


async def pieces(content, size=100_000):
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.fixture(params=["disk", "bucket"])
def made(request, tmp_path):
    """Make stores of one kind, each in the place of that name."""
    if request.param == "disk":
        return lambda name="store": Disk(tmp_path / name)
    bucket = request.getfixturevalue("bucket")

    def make(name="store"):
        changes = {"store": f"{bucket.place}/{name}", "uploads_dir": tmp_path / name}
        return store_of(Settings().model_copy(update=bucket.settings | changes))

    return make


@pytest.fixture
async def store(made):
    store = made()
    await store.open()
    await store.enter(await store.claim())
    return store


async def kept(store, content=CONTENT, image_id=1042):
    key = keys.new_key(image_id, "png")
    async with store.receive(pieces(content), len(content)) as received:
        await store.keep(received, key, "image/png")
    return key


async def listed(store):
    return [one async for step in store.walk() for one in step]


async def test_what_was_kept_comes_back_byte_by_byte(store):
    key = await kept(store)
    async with store.content(key, len(CONTENT)) as content:
        assert await read_all(content) == CONTENT
    async with store.content(key) as content:
        assert await read_all(content) == CONTENT
    async with store.local_file(key, len(CONTENT)) as file:
        assert file.read() == CONTENT


@pytest.mark.parametrize("part", [range(1), range(5, 1_500_000), range(len(CONTENT) - 1, len(CONTENT))])
async def test_a_part_is_exactly_that(store, part):
    key = await kept(store)
    async with store.content(key, len(CONTENT), part) as content:
        assert await read_all(content) == CONTENT[part.start : part.stop]


async def test_a_received_file_has_its_size_and_hash_and_is_gone_at_the_end(store):
    async with store.receive(pieces(CONTENT), len(CONTENT)) as received:
        assert (received.size, received.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
        assert received.path.read_bytes() == CONTENT
    assert not received.path.exists()
    assert await listed(store) == []


async def test_a_file_above_the_limit_is_refused_at_the_first_byte_too_many(store):
    asked = 0

    async def endless():
        nonlocal asked
        while True:
            asked += 100_000
            yield bytes(100_000)

    with pytest.raises(TooLargeError):
        async with store.receive(endless(), 500_000):
            pass
    assert asked < 1_200_000
    assert await listed(store) == []


async def test_a_client_that_leaves_leaves_nothing(store):
    async def stalls():
        yield bytes(500_000)
        await asyncio.sleep(60)

    async def receive():
        async with store.receive(stalls(), 10**9):
            pass

    receiving = asyncio.create_task(receive())
    await asyncio.sleep(0.05)
    receiving.cancel()
    await asyncio.wait([receiving])
    assert await store.sweep(time.time() + 60) == []


async def test_keeping_replaces(store):
    key = await kept(store)
    async with store.receive(pieces(b"other"), 5) as received:
        await store.keep(received, key, "image/png")
    async with store.content(key, 5) as content:
        assert await read_all(content) == b"other"


async def test_an_object_that_is_missing_or_has_another_size_is_damaged(store):
    key = await kept(store)
    for name, size in ((key, len(CONTENT) + 1), (keys.new_key(1, "png"), None)):
        with pytest.raises(DamagedStoreError):
            async with store.content(name, size):
                pass
        with pytest.raises(DamagedStoreError):
            async with store.local_file(name, size or 1):
                pass


async def test_an_object_is_removed_once_and_again(store):
    key, other = await kept(store), await kept(store)
    for _ in range(2):
        await store.remove([key, keys.new_key(7, "png")])
    assert [one.key for one in await listed(store)] == [other]


async def test_what_is_removed_while_it_is_read_comes_whole(store):
    key = await kept(store)
    async with store.content(key, len(CONTENT)) as content:
        await store.remove([key])
        assert await read_all(content) == CONTENT


async def test_a_walk_lists_every_object_in_steps_and_in_order(store):
    expected = sorted([await kept(store, b"x", image_id) for image_id in range(1, 300)])
    steps = [step async for step in store.walk()]
    assert [one.key for step in steps for one in step] == expected
    assert len(steps) > 1
    assert all(one.size == 1 and abs(one.changed - time.time()) < 60 for step in steps for one in step)


async def test_a_store_keeps_its_id_and_two_have_different_ones(made, store):
    again = made()
    assert await again.claim() == await store.claim()
    other = made("other")
    await other.open()
    assert await other.claim() != await store.claim()
    with pytest.raises(OtherStoreError):
        await other.enter(await store.claim())


async def test_nothing_is_received_before_the_store_is_entered(made):
    store = made()
    await store.open()
    with pytest.raises(UnavailableError):
        async with store.receive(pieces(b"x"), 1):
            pass


async def test_stores_that_are_claimed_at_once_agree(made):
    stores = [made() for _ in range(8)]
    for store in stores:
        await store.open()
    assert len(set(await asyncio.gather(*(store.claim() for store in stores)))) == 1
