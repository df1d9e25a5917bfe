"""Downloads, from services that lie and into folders that are set as traps."""

import asyncio
import hashlib
import os

import pytest
from aiohttp import web

from kt_images.client import (
    Attachment,
    ClientError,
    DigestMismatchError,
    TargetExistsError,
    UnexpectedAnswerError,
)

CONTENT = bytes(range(256)) * 4096
ATTACHMENT = Attachment(1, "a.png", "image/png", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), 1, 1)


def media(content=CONTENT, *, ranges=True, breaks=()):
    """A service with one file; `ranges` says whether it heeds Range, `breaks` after how many bytes it breaks."""
    breaks = list(breaks)

    async def answer(request):
        wanted = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")
        start = int(wanted) if ranges else 0
        response = web.StreamResponse(status=206 if start else 200)
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if breaks:
            response.content_length = len(content) - start
        await response.prepare(request)
        if breaks:
            await response.write(content[start : start + breaks.pop(0)])
            await asyncio.sleep(0.05)
            request.transport.abort()
        else:
            await response.write(content[start:])
        return response

    return ("GET", "/media/1/a.png", answer)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def part_in(folder):
    identity = f"1/a.png/{ATTACHMENT.sha256}"
    return folder / f".kt-images-{hashlib.sha256(identity.encode()).hexdigest()[:32]}.part"


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_download_is_resumed_also_where_range_is_ignored(client_of, tmp_path, ranges):
    part_in(tmp_path).write_bytes(CONTENT[:1000])
    client = await client_of(media(ranges=ranges))
    moved = []
    assert await client.download(ATTACHMENT, tmp_path / "a", progress=moved.append)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert sum(moved) == len(CONTENT)
    assert names(tmp_path) == ["a"]
    assert not await client.download(ATTACHMENT, tmp_path / "a")


@pytest.mark.parametrize("beginning", [b"x" * 1000, b"x" * (len(CONTENT) + 1), b"x" * len(CONTENT)])
async def test_the_beginning_of_another_file_is_discarded(client_of, tmp_path, beginning):
    part_in(tmp_path).write_bytes(beginning)
    client = await client_of(media())
    moved = []
    assert await client.download(ATTACHMENT, tmp_path / "a", progress=moved.append)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert sum(moved) == len(CONTENT)


async def test_chunks_continue_over_broken_connections(client_of):
    client = await client_of(media(breaks=[300_000, 200_000, 1]))
    assert b"".join([chunk async for chunk in client.chunks(ATTACHMENT)]) == CONTENT


async def test_other_bytes_are_never_taken_for_the_file(client_of, tmp_path):
    client = await client_of(media(CONTENT[::-1]))
    with pytest.raises(DigestMismatchError, match="SHA-256 mismatch; download discarded"):
        await client.download(ATTACHMENT, tmp_path / "a")
    assert names(tmp_path) == []
    with pytest.raises(DigestMismatchError):
        async for _ in client.chunks(ATTACHMENT):
            pass


@pytest.mark.parametrize(("content", "word"), [(CONTENT + b"x", "more"), (CONTENT[:-1], "fewer")])
async def test_more_or_fewer_bytes_are_an_error(client_of, tmp_path, content, word):
    client = await client_of(media(content))
    with pytest.raises(UnexpectedAnswerError, match=f"{word} bytes"):
        await client.download(ATTACHMENT, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def symbolic(part, victim):
    part.symlink_to(victim)


def hard(part, victim):
    part.hardlink_to(victim)


def dangling(part, victim):
    part.symlink_to(victim.with_name("new"))


def pipe(part, _victim):
    os.mkfifo(part)


@pytest.mark.parametrize("trap", [symbolic, hard, dangling, pipe])
async def test_a_planted_part_is_not_written_to(client_of, tmp_path, trap):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    trap(part_in(folder), victim)
    client = await client_of(media())
    with pytest.raises(ClientError, match="is not a regular file; delete it and try again"):
        await client.download(ATTACHMENT, folder / "a")
    assert victim.read_bytes() == b"precious"
    assert names(tmp_path) == ["folder", "victim"]
    assert not (folder / "a").exists()


async def test_another_file_is_replaced_only_on_request(client_of, tmp_path):
    (tmp_path / "a").write_bytes(b"mine")
    client = await client_of(media())
    with pytest.raises(TargetExistsError):
        await client.download(ATTACHMENT, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert await client.download(ATTACHMENT, str(tmp_path / "a"), overwrite=True)
    assert (tmp_path / "a").read_bytes() == CONTENT


async def test_a_name_that_no_url_can_hold_is_an_error_of_the_client(client):
    name = "half\udcff.png"
    for call in (client.media(1, name), client.attach(1, b"x", name), client.delete_attachment(1, name)):
        with pytest.raises(ClientError, match="cannot be part of a URL"):
            await call
    with pytest.raises(ClientError, match="cannot be part of a URL"):
        client.media_url(1, name)
