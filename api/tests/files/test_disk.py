"""The store: it is the right one, and whatever the disk does, nothing half remains."""

import asyncio
import errno
import hashlib
import json
import os
from io import BytesIO

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from kt_images.application import create_app
from kt_images.database import stores
from kt_images.errors import DamagedStoreError, OtherStoreError, UnavailableError
from kt_images.files.disk import Disk
from pictures import JPEG, drawn
from stored import stored_files


def form(content=None):
    made = aiohttp.FormData()
    made.add_field("image", BytesIO(content or JPEG.read_bytes()), filename="a.jpg")
    return made


@pytest.fixture
async def image(client):
    await client.post("/images", json={"filename": "example.jpg"})
    return client


async def starts(settings):
    """Start a service and stop it."""
    async with TestServer(create_app(settings)):
        pass


async def test_the_database_remembers_its_store(settings, pool):
    await starts(settings)
    marker = json.loads((settings.uploads_dir / "store.json").read_text())
    assert await stores.known(pool) == marker["store_id"]
    await starts(settings)


async def test_an_empty_folder_in_the_place_of_the_store_is_refused_and_left_empty(settings, tmp_path):
    await starts(settings)
    settings.uploads_dir.rename(tmp_path / "elsewhere")
    with pytest.raises(OtherStoreError):
        await starts(settings)
    assert list(settings.uploads_dir.iterdir()) == []


@pytest.mark.parametrize("marker", ['{"store_id": "another"}', "{}", "[]", "nonsense", ""])
async def test_another_store_is_refused(settings, marker):
    await starts(settings)
    (settings.uploads_dir / "store.json").write_text(marker)
    with pytest.raises(OtherStoreError):
        await starts(settings)


async def test_a_new_database_takes_a_store_that_has_files(settings, pool):
    await starts(settings)
    marker = (settings.uploads_dir / "store.json").read_text()
    await pool.query("truncate store")
    await starts(settings)
    assert (settings.uploads_dir / "store.json").read_text() == marker


async def test_two_processes_that_start_at_once_agree_on_the_store(settings):
    apps = [TestServer(create_app(settings)) for _ in range(4)]
    await asyncio.gather(*(app.start_server() for app in apps))
    await asyncio.gather(*(app.close() for app in apps))


async def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # what a read-only disk answers, to root too
    with pytest.raises(UnavailableError):
        await Disk(tmp_path).open()


async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError):
        await Disk(tmp_path / "file" / "x").open()


@pytest.mark.parametrize("planted", ["symlink", "fifo", "folder"])
async def test_what_is_no_regular_file_is_never_opened(tmp_path, planted):
    store, key = Disk(tmp_path), "001/1-x.png"
    place = tmp_path / "objects" / key
    place.parent.mkdir(parents=True)
    {"symlink": lambda: place.symlink_to("/etc/passwd"), "fifo": lambda: os.mkfifo(place), "folder": place.mkdir}[
        planted
    ]()
    with pytest.raises(DamagedStoreError):
        async with store.content(key):
            pass


async def test_a_file_that_shrinks_while_it_is_read_is_damaged(tmp_path):
    place = tmp_path / "objects" / "a"
    place.parent.mkdir()
    place.write_bytes(bytes(3 * 2**20))
    with pytest.raises(DamagedStoreError):
        async with Disk(tmp_path).content("a") as content:
            async for _ in content:
                os.truncate(place, 2**20 + 1)


@pytest.mark.parametrize("loss", ["gone", "another"])
async def test_a_store_that_is_lost_is_told_and_takes_nothing_until_it_is_back(image, settings, tmp_path, loss):
    assert (await image.get("/readyz")).status == 200
    settings.uploads_dir.rename(tmp_path / "elsewhere")
    if loss == "another":
        other = Disk(settings.uploads_dir)
        await other.open()
        await other.enter(await other.claim())
    ready = await image.get("/readyz")
    assert (ready.status, await ready.json()) == (503, {"error": "Not reachable: store"})
    answer = await image.post("/images/1/attachment/a", data=form())
    assert (answer.status, await answer.json()) == (
        503,
        {"error": "The store cannot be reached; please try again"},
    )
    assert (await image.get("/images/1")).status == 200
    if loss == "another":
        assert stored_files(settings) == []
        settings.uploads_dir.rename(tmp_path / "other")
    (tmp_path / "elsewhere").rename(settings.uploads_dir)
    assert (await image.get("/readyz")).status == 200
    assert (await image.post("/images/1/attachment/a", data=form())).status == 200


def failing(monkeypatch, call, number, code, short=False):
    """Have the system call fail from its `number`th time on; a short write may come before. Return how often it failed."""
    original, calls, failed = getattr(os, call), [0], [0]

    def wrapper(*args, **kwargs):
        if call == "open" and not args[1] & os.O_CREAT:
            return original(*args, **kwargs)
        calls[0] += 1
        if calls[0] < number:
            return original(*args, **kwargs)
        if short and calls[0] == number:
            return original(args[0], args[1][:7])
        failed[0] += 1
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, wrapper)
    return failed


@pytest.mark.parametrize("url", ["/images/upload", "/images/1/attachment/a"])
@pytest.mark.parametrize(
    ("call", "number", "code", "status"),
    [
        ("write", 1, errno.ENOSPC, 507), ("write", 1, errno.EDQUOT, 507), ("write", 1, errno.EIO, 500), ("open", 1, errno.ENOSPC, 507),
        ("open", 1, errno.EROFS, 503), ("open", 1, errno.EMFILE, 503), ("fsync", 1, errno.EIO, 500), ("fsync", 1, errno.ENOSPC, 507),
        ("rename", 1, errno.EIO, 500), ("rename", 1, errno.ENOSPC, 507), ("mkdir", 1, errno.ENOSPC, 507),
    ],
)  # fmt: skip
async def test_a_disk_that_fails_leaves_nothing_and_is_well_again_at_once(
    image, settings, monkeypatch, url, call, number, code, status
):
    with monkeypatch.context() as broken:
        failed = failing(broken, call, number, code, short=call == "write")
        answer = await image.post(url, data=form())
        assert answer.status == status, await answer.text()
    assert failed == [1]  # above all, an fsync that failed is not tried again
    assert stored_files(settings) == []
    assert (await (await image.get("/images")).json())[-1]["totalImages"] == 1
    assert (await image.get("/images/1/attachments")).status == 200
    assert (await image.post(url, data=form())).status in {200, 201}


async def test_a_full_disk_does_not_keep_smaller_pictures_from_being_shown(image, settings, monkeypatch):
    await image.post("/images/1/attachment/a", data=form())
    before = stored_files(settings)
    failing(monkeypatch, "write", 1, errno.ENOSPC)
    answer = await image.get("/media/1/a?width=160")
    assert (answer.status, answer.content_type) == (200, "image/webp")
    assert stored_files(settings) == before


async def test_the_order_of_what_makes_a_file_last(image, monkeypatch):
    """The file's bytes, its name, the folder's entry, and only then the row. The same for its thumbnail, in between."""
    order = []
    for call in ("fsync", "rename"):
        original = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *a, call=call, original=original: (order.append(call), original(*a))[1])
    await image.post("/images/1/attachment/a", data=form())
    lasting = ["fsync", "rename", "fsync"]  # the file, the name, its entry
    assert order == ["fsync", *lasting, *lasting]  # and a new folder's entry
    order.clear()
    await image.post("/images/1/attachment/a", data=form())
    assert order == lasting + lasting


async def test_of_many_uploads_to_one_name_one_is_stored_whole_and_its_row_agrees(image):
    contents = [drawn("PNG", (10 + n, 10)) for n in range(50)]
    answers = await asyncio.gather(*(image.post("/images/1/attachment/a", data=form(one)) for one in contents))
    assert {answer.status for answer in answers} == {200}
    (row,) = await (await image.get("/images/1/attachments")).json()
    stored = await (await image.get("/media/1/a")).read()
    assert stored in contents
    assert (row["size"], row["sha256"], row["width"]) == (
        len(stored), hashlib.sha256(stored).hexdigest(), 10 + contents.index(stored)
    )  # fmt: skip


async def test_what_is_replaced_or_deleted_while_it_is_downloaded_comes_whole(image):
    content = drawn("BMP", (3000, 2000))
    for change in ("replace", "delete"):
        await image.post("/images/1/attachment/a", data=form(content))
        async with image.session.get(image.make_url("/media/1/a")) as answer:
            first = await answer.content.readexactly(1000)
            if change == "replace":
                await image.post("/images/1/attachment/a", data=form())
            else:
                await image.delete("/images/1/attachment/a")
            assert first + await answer.content.read() == content
    assert (await image.get("/media/1/a")).status == 404
