"""Every call, against the service."""

import hashlib

import pytest

from kt_images.client import Attachment, Image, NotFoundError, OnDuplicate, RefusedError, UnexpectedAnswerError
from pictures import JPEG, drawn

PNG = drawn("PNG")
SHA256 = hashlib.sha256(PNG).hexdigest()


async def test_images_are_created_changed_and_deleted(client):
    image = await client.create("a.jpg", ["x", "y"])
    assert image == Image(1, "a.jpg", ["x", "y"])
    assert await client.change(1, add_tags=["z"], remove_tags=["x"]) == Image(1, "a.jpg", ["y", "z"])
    assert await client.change(1, filename="b.jpg", tags=[]) == Image(1, "b.jpg", [])
    assert await client.image(1) == Image(1, "b.jpg", [])
    await client.delete(1)
    for call in (client.image(1), client.delete(1), client.change(1, tags=[]), client.attachments(1)):
        with pytest.raises(NotFoundError, match="Image <1> is not found"):
            await call


async def test_a_text_is_one_tag(client):
    assert (await client.create("a.jpg", "sea")).tags == ["sea"]
    assert (await client.change(1, add_tags="sun")).tags == ["sea", "sun"]
    assert (await client.upload(PNG, "b.png", "sea")).image.tags == ["sea"]


async def test_a_list_takes_all_filters(client):
    for number, tags in enumerate([["a", "b"], ["a"], ["b"], ["c,d"]]):
        await client.create(f"{number}.jpg", tags)

    async def ids(**filters):
        return [image.image_id async for image in client.images(**filters)]

    assert await ids() == [1, 2, 3, 4]
    assert await ids(tag="a") == [1, 2]
    assert await ids(tags_all=["a", "b"]) == [1]
    assert await ids(tags_any=["a", "b"], tags_none="b") == [2]
    assert await ids(tag="c,d") == [4]
    assert await ids(after=1, limit=2) == [2, 3]
    assert await ids(tags_all=[]) == [1, 2, 3, 4]
    assert [len(images) async for images in client.batches(limit=2)] == [2]


async def test_an_unknown_filter_never_lists_everything(client):
    with pytest.raises(TypeError, match="no filter 'tags'"):
        client.batches(tags=["a"])


async def test_a_refusal_names_the_field_at_fault(client):
    with pytest.raises(RefusedError, match="A tag is 1 to 100") as caught:
        await client.create("a.jpg", ["x" * 101])
    assert caught.value.status == 400
    (fault,) = caught.value.faults
    assert (fault.part, fault.loc) == ("body", ("tags", 0))


@pytest.mark.parametrize("name", ["a b.png", "a?width=1&b.png", "море.png", "100%25.png", 'quo"te;.png', "a+b#c.png"])
async def test_files_keep_their_bytes_under_any_name(client, tmp_path, name):
    image, is_new = await client.upload(PNG, name, ["x"])
    assert (is_new, image.filename, image.tags) == (True, name, ["x"])
    assert await client.attachments(image.image_id) == [Attachment(1, name, "image/png", len(PNG), SHA256, 40, 30)]
    assert await client.media(image.image_id, name) == PNG
    (attachment,) = await client.attachments(image.image_id)
    assert b"".join([chunk async for chunk in client.chunks(attachment)]) == PNG
    assert await client.download(attachment, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == PNG
    await client.delete_attachment(image.image_id, name)
    assert await client.attachments(image.image_id) == []


async def test_an_upload_of_known_bytes_does_what_it_is_told(client):
    assert await client.upload(PNG, "a.png", ["x"]) == (Image(1, "a.png", ["x"]), True)
    assert await client.upload(PNG, "b.png", ["y"]) == (Image(1, "a.png", ["x", "y"]), False)
    with pytest.raises(RefusedError) as caught:
        await client.upload(PNG, "b.png", on_duplicate=OnDuplicate.REJECT)
    assert caught.value.status == 409
    assert await client.upload(PNG, "b.png", on_duplicate=OnDuplicate.CREATE) == (Image(2, "b.png", []), True)


async def test_bytes_that_differ_from_their_sha256_are_refused(client):
    with pytest.raises(RefusedError):
        await client.upload(PNG, "a.png", sha256="0" * 64)
    assert [image async for image in client.images()] == []


async def test_progress_adds_up_to_the_bytes(client):
    moved = []
    await client.upload(JPEG, progress=moved.append)
    assert sum(moved) == JPEG.stat().st_size


async def test_bytes_need_a_name(client):
    with pytest.raises(TypeError, match="give a filename"):
        await client.upload(PNG)


async def test_an_image_takes_several_attachments(client):
    await client.create("a.jpg")
    await client.attach(1, PNG, "front.png")
    await client.attach(1, JPEG)
    assert [one.filename for one in await client.attachments(1)] == ["front.png", "grace_hopper.jpg"]


async def test_attachments_are_found_by_more_digests_than_one_call_takes(client):
    await client.create("a.jpg")
    await client.attach(1, PNG, "a.png")
    unknown = [hashlib.sha256(bytes([number])).hexdigest() for number in range(250)]
    found = await client.find_attachments([*unknown, SHA256])
    assert [(one.image_id, one.filename) for one in found] == [(1, "a.png")]
    assert await client.find_attachments([]) == []


async def test_a_thumbnail_is_a_smaller_picture(client):
    await client.upload(JPEG, "a?b.jpg")
    assert 0 < len(await client.media(1, "a?b.jpg", width=320)) < JPEG.stat().st_size


async def test_media_in_memory_has_a_limit(client):
    await client.upload(PNG, "a.png")
    with pytest.raises(UnexpectedAnswerError, match="larger than 10 bytes"):
        await client.media(1, "a.png", limit=10)


async def test_a_url_is_quoted(client, service):
    assert client.media_url(1, "a b/ü.png") == f"{service.url}/media/1/a%20b%2F%C3%BC.png"
