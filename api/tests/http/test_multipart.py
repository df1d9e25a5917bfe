"""Forms as they stand on the wire: cut anywhere, stalling, endless, or of too many parts."""

import asyncio
import contextlib
import time

import pytest

from pictures import drawn
from stored import stored_files

PNG = drawn("PNG")
TYPE = "multipart/form-data; boundary=b"
UPLOAD = "/images/upload"


def part(content, name="image", filename="a.png", extra=b""):
    disposition = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return b"--b\r\n" + disposition.encode() + b"\r\n" + extra + b"\r\n" + content + b"\r\n"


FILE = part(PNG)
FORM = FILE + part(b"x", "tags", "") + b"--b--\r\n"


async def slowly(*pieces, pause=0.0):
    for piece in pieces:
        yield piece
        await asyncio.sleep(pause)


async def say(client, body, content_type=TYPE, headers=""):
    """Send raw bytes, then nothing more, and return the status and the seconds that it took to come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nConnection: close\r\n{headers}\r\n"
    writer.write(head.encode() + body)
    started = time.monotonic()
    try:
        line = await asyncio.wait_for(reader.readline(), 10)
        return int(line.split()[1]), time.monotonic() - started
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def smooth_loop(most=0.1):
    """Fail when the event loop's thread computed for longer in one go: twice what is promised, as client and server share it.

    Its processor's time, not the clock's: what else runs on the machine holds it up, too.
    """
    worst = 0.0

    async def watch():
        nonlocal worst
        while True:
            started = time.thread_time()
            await asyncio.sleep(0.001)
            worst = max(worst, time.thread_time() - started)

    watching = asyncio.create_task(watch())
    yield
    watching.cancel()
    assert worst < most


async def clean(client, settings):
    assert (await (await client.get("/images")).json())[-1]["totalImages"] == 0
    assert stored_files(settings) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_a_form_may_come_in_pieces_of_any_size(client, size):
    pieces = [FORM[start : start + size] for start in range(0, len(FORM), size)]
    answer = await client.post(UPLOAD, data=slowly(*pieces), headers={"Content-Type": TYPE})
    assert (answer.status, (await answer.json())["tags"]) == (201, ["x"])
    assert await (await client.get("/media/1/a.png")).read() == PNG


@pytest.mark.parametrize(
    "content", [b"\r\n--", b"\r\n--c", b"\r\n-b--", b"--b", b"--b--\r\n", b"\n--b", b"\r\r\n--\r\n", b"\r\n" * 50_000]
)
async def test_what_almost_is_a_boundary_belongs_to_the_file(client, content):
    """Behind a JPEG's end anything may stand."""
    file = drawn("JPEG") + content
    answer = await client.post(UPLOAD, data=part(file) + b"--b--", headers={"Content-Type": TYPE})
    assert answer.status == 201
    assert await (await client.get("/media/1/a.png")).read() == file


@pytest.mark.parametrize(
    "body",
    [b"preamble\r\n" + FORM, b"\r\n" + FORM, FORM.replace(b"--b\r\n", b"--b \t \r\n"), FORM + b"epilogue" * 500, FORM[:-2],
     FORM.replace(b"Content-Disposition", b"content-DISPOSITION"), FORM.replace(b'name="image"', b"name=image")],
)  # fmt: skip
async def test_what_the_standard_allows_is_taken(client, body):
    answer = await client.post(UPLOAD, data=body, headers={"Content-Type": TYPE})
    assert answer.status == 201, await answer.text()


@pytest.mark.parametrize("boundary", ["b" * 70, '"b b"', "'()+_,-./:=?", "B"])
async def test_every_boundary_of_the_standard(client, boundary):
    bare = boundary.strip('"')
    quoted = f'"{bare}"'
    body = FORM.replace(b"--b", b"--" + bare.encode())
    answer = await client.post(UPLOAD, data=body, headers={"Content-Type": f"multipart/form-data; boundary={quoted}"})
    assert answer.status == 201, await answer.text()


@pytest.mark.parametrize("cut", range(0, len(FORM) - 2, 31))
async def test_a_form_that_is_cut_off_anywhere_is_refused_and_leaves_nothing(client, settings, cut):
    answer = await client.post(UPLOAD, data=FORM[:cut], headers={"Content-Type": TYPE})
    assert answer.status == 400
    await clean(client, settings)


NESTED = b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(2000))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (part(b"", "tags", "") * 20_000 + b"--b--", TYPE), (b"--b\r\n\r\n\r\n" * 20_000 + b"--b--", TYPE),
        (NESTED, "multipart/form-data; boundary=b0"), (b"\r\n" * 2**20, TYPE), (b"x" * 2**20, TYPE), (b"--b" * 2**19, TYPE),
        (b"--b\r\n" + b"X: y\r\n" * 2**18, TYPE), (b"--b\r\nX: " + b"y" * 2**20, TYPE), (FORM + b"\r\n" * 2**20, TYPE),
        (part(b"x" * 2**20, "tags", ""), TYPE), (b"--b" + b" " * 2**20, TYPE), (FILE * 1000 + b"--b--", TYPE),
        (b"--b\r\nContent-Disposition: form-data" + b'; name="x"' * 700 + b"\r\n\r\n", TYPE),
        (b"--b\r\nContent-Disposition: form-data; name=" + b'"' * 8000 + b"\r\n\r\n", TYPE),
    ],
)  # fmt: skip
async def test_what_only_costs_time_is_refused_soon_and_holds_up_nobody(client, settings, body, content_type):
    async with smooth_loop():
        status, seconds = await say(client, body, content_type, "Content-Length: 99999999\r\n")
    assert status in {400, 413}
    assert seconds < 2
    await clean(client, settings)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Disposition: form-data; name=\"image\"; filename=\"a\0b\"", b"Content-Disposition: attachment; name=\"image\"",
        b"Content-Disposition: form-data", b"Content-Disposition", b": x", b"", b"X: y", b"Content-Disposition: form-data; name=\"image\xff\"",
        b"Content-Disposition: form-data; name*=nonsense''%ff", b"Content-Disposition:\r\n form-data; name=\"image\"", b"\xff: x",
        b"Content-Disposition: form-data; name=\"image\"; filename*=nonsense''%ff%00.png", b"Content Disposition: form-data; name=image",
    ],
)  # fmt: skip
async def test_headers_of_a_part_that_cannot_be_understood_are_refused(client, settings, head):
    body = b"--b\r\n" + head + b"\r\n\r\n" + PNG + b"\r\n--b--\r\n"
    answer = await client.post(UPLOAD, data=body, headers={"Content-Type": TYPE})
    assert answer.status == 400, await answer.text()
    await clean(client, settings)


async def test_a_file_name_beyond_ascii_may_come_in_either_form(client):
    for given in ('filename="ü.png"', "filename*=UTF-8''%C3%BC.png", "filename=\"x.png\"; filename*=UTF-8''%C3%BC.png"):
        body = FORM.replace(b'filename="a.png"', given.encode())
        answer = await client.post(UPLOAD, data=body, headers={"Content-Type": TYPE})
        assert (await answer.json())["filename"] in {"ü.png", "x.png"}


@pytest.mark.parametrize("sent", [b"", b"--b", FILE[:20], FILE[:-5], FORM[:-3], FORM])
async def test_a_body_that_stalls_is_given_up_and_leaves_nothing(serve, settings, sent):
    client = await serve(body_timeout=0.2)
    status, seconds = await say(client, sent, headers="Content-Length: 99999\r\n")
    assert status == 408
    assert seconds < 10
    await clean(client, settings)


async def test_a_body_that_dribbles_is_given_up(serve, settings):
    client = await serve(body_timeout=0.3)
    body = slowly(*(bytes([byte]) for byte in FORM), pause=0.02)
    started = time.monotonic()
    answer = await client.post(UPLOAD, data=body, headers={"Content-Type": TYPE})
    assert answer.status == 408
    assert time.monotonic() - started < 10  # to dribble all of it takes longer
    await clean(client, settings)


async def test_a_body_that_is_slow_but_steady_is_taken(serve):
    client = await serve(body_timeout=1)
    body = part(drawn("JPEG") + b"x" * 400_000) + b"--b--"
    pieces = [body[start : start + 40_000] for start in range(0, len(body), 40_000)]
    answer = await client.post(UPLOAD, data=slowly(*pieces, pause=0.12), headers={"Content-Type": TYPE})
    assert answer.status == 201


async def test_json_that_stalls_is_given_up(serve):
    client = await serve(body_timeout=0.2)

    async def stalling():
        yield b'{"filename":'
        await asyncio.sleep(5)

    answer = await client.post("/images", data=stalling(), headers={"Content-Type": "application/json"})
    assert answer.status == 408


async def test_too_large_a_body_is_refused_before_a_byte_of_it_is_read(client):
    status, seconds = await say(client, b"", headers=f"Content-Length: {2**40}\r\n")
    assert status == 413
    assert seconds < 1


async def test_the_loop_is_never_held_up_by_a_large_upload(client):
    body = part(drawn("JPEG") + b"\r\n--" * 5_000_000) + b"--b--"
    pieces = [body[start : start + 2**16] for start in range(0, len(body), 2**16)]
    async with smooth_loop():
        answer = await client.post(UPLOAD, data=slowly(*pieces), headers={"Content-Type": TYPE})
    assert answer.status == 201
