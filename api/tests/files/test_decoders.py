"""Pictures are decoded in processes of their own: what an attacker's bytes cost there, and nobody else."""

import asyncio
import contextlib
import functools
import os
import resource
import signal
import time
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from PIL import Image

from hostile_pictures import HOSTILE
from kt_images.errors import InvalidRequestError, TooLargeError, UnavailableError, UnsupportedMediaTypeError
from kt_images.files import decoder_process, decoders, pictures
from kt_images.files.decoders import Decoders
from kt_images.files.shrinking import shrink
from kt_images.files.turns import Turns
from pictures import drawn

PNG = drawn("PNG")

MEGABYTE = 2**20
MEMORY = 512 * MEGABYTE  # the default
PIXELS = 100_000_000


@pytest.fixture
async def pool():
    async with Decoders(PIXELS, MEMORY) as made:
        yield made


@pytest.fixture
def file(tmp_path):
    def make(content):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return path

    return make


def opening(path):
    return functools.partial(opened, path)


@contextlib.asynccontextmanager
async def opened(path):
    with path.open("rb") as file:
        yield file


def processes():
    return [child for child in psutil.Process().children() if "kt_images.files.decoder" in " ".join(child.cmdline())]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_picture_costs_seconds_and_megabytes_and_holds_up_nobody(pool, file, name):
    """The limits watched together: this picture's time and memory, the loop's lag, and honest pictures beside it."""
    hostile, honest = file(HOSTILE[name]()), file(PNG)
    lag, waited, done = [0.0], [], asyncio.Event()

    async def beat():
        while not done.is_set():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            lag[0] = max(lag[0], time.monotonic() - before - 0.01)

    async def others():
        while not done.is_set():
            before = time.monotonic()
            assert (await pool.inspect(honest)).content_type == "image/png"
            waited.append(time.monotonic() - before)
            await asyncio.sleep(0.05)

    async def look():
        # Taken, if it is cheap enough after all; refused, but never a failure of ours.
        with contextlib.suppress(TooLargeError, InvalidRequestError, UnsupportedMediaTypeError):
            await pool.inspect(hostile)

    beside = [asyncio.create_task(beat()), asyncio.create_task(others())]
    started = time.monotonic()
    await asyncio.gather(*(look() for _ in range(2 * (os.cpu_count() or 1))))
    took = time.monotonic() - started
    done.set()
    await asyncio.gather(*beside)
    assert took < 60  # on a machine with other things to do
    assert max(waited) < 30
    assert lag[0] < 0.5
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 512 * MEGABYTE


async def test_the_kernel_holds_the_limits(pool, file):
    await pool.inspect(file(PNG))
    (process,) = processes()
    soft = {
        name: process.rlimit(getattr(psutil, f"RLIMIT_{name}"))[0] for name in ("AS", "CPU", "NOFILE", "FSIZE", "CORE")
    }
    assert soft["AS"] < process.memory_info().vms + MEMORY
    assert soft["CPU"] < 5
    assert soft["NOFILE"] == 5
    assert process.num_fds() == 4
    for name in ("AS", "NOFILE", "FSIZE", "CORE"):
        assert process.rlimit(getattr(psutil, f"RLIMIT_{name}"))[1] != psutil.RLIM_INFINITY
    assert (soft["FSIZE"], soft["CORE"]) == (0, 0)
    assert not process.net_connections("inet")


async def test_a_decoder_knows_no_password(pool, file, monkeypatch):
    monkeypatch.setenv("POSTGRES_DSN", "password=secret")
    await pool.inspect(file(PNG))
    (process,) = processes()
    assert "POSTGRES_DSN" not in process.environ()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGXCPU])
async def test_a_decoder_that_is_killed_costs_one_picture_and_a_line_in_the_log(pool, file, caplog, number):
    path = file(drawn("PNG", (3000, 3000), compress_level=0))
    for _ in range(3):
        await pool.inspect(path)
        looking = asyncio.create_task(pool.inspect(path))
        await asyncio.sleep(0.005)
        for process in processes():
            process.send_signal(number)
        with contextlib.suppress(TooLargeError):
            await looking
        assert (await pool.inspect(file(PNG))).content_type == "image/png"
    assert len(caplog.messages) <= 3


async def test_an_idle_decoder_that_has_died_is_replaced_and_the_picture_is_taken(pool, file):
    await pool.inspect(file(PNG))
    (process,) = processes()
    process.kill()
    process.wait()
    assert (await pool.inspect(file(PNG))).content_type == "image/png"


async def test_a_decoder_that_hangs_is_killed_at_the_deadline(pool, file, monkeypatch):
    monkeypatch.setattr(decoders, "DEADLINE_SECONDS", 0.3)
    await pool.inspect(file(PNG))
    (process,) = processes()
    process.suspend()
    with pytest.raises(TooLargeError):
        await pool.inspect(file(PNG))
    assert not process.is_running()
    monkeypatch.undo()
    await pool.inspect(file(PNG))


async def test_a_picture_that_needs_all_of_the_memory_gets_it(file, monkeypatch):
    # 12 Mpixels of RGB are 48 MB: more than a share, less than all.
    path = file(drawn("PNG", (4000, 3000)))
    monkeypatch.setattr(decoders, "LEAST_SHARE", 1)
    async with Decoders(PIXELS, 80 * MEGABYTE) as pool:
        found = await asyncio.gather(
            *(pool.inspect(path) for _ in range(4)), *(pool.inspect(file(PNG)) for _ in range(4))
        )
    assert [one.width for one in found] == [4000] * 4 + [40] * 4


async def test_a_picture_that_needs_more_than_all_is_refused_with_413(file):
    path = file(drawn("PNG", (8000, 8000), "L"))
    async with Decoders(PIXELS, 32 * MEGABYTE) as pool:
        with pytest.raises(TooLargeError, match="memory"):
            await pool.inspect(path)
        assert (await pool.inspect(file(PNG))).content_type == "image/png"


async def test_a_full_queue_of_thumbnails_is_refused_and_uploads_are_not(pool, file, monkeypatch):
    monkeypatch.setattr(pool._turns, "_waiting", 3)
    path, small = file(drawn("PNG", (3000, 2000))), file(PNG)
    asked = [asyncio.create_task(pool.shrink(opening(path), 320)) for _ in range(20)]
    await asyncio.sleep(0)
    assert (await pool.inspect(small)).content_type == "image/png"
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, UnavailableError)]
    assert len(refused) + sum(isinstance(answer, bytes) for answer in answers) == 20
    assert len(refused) > 10


async def test_a_thumbnail_that_nobody_waits_for_any_more_leaves_the_queue_and_holds_no_descriptor(pool, file):
    path = file(drawn("PNG", (2000, 2000)))
    await pool.shrink(opening(path), 320)
    before = len(list(Path("/dev/fd").iterdir()))
    asked = [asyncio.create_task(pool.shrink(opening(path), 320)) for _ in range(100)]
    await asyncio.sleep(0.01)
    assert len(list(Path("/dev/fd").iterdir())) < before + 20
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    assert (await pool.inspect(file(PNG))).content_type == "image/png"
    assert pool._turns._free == pool._turns.size


async def test_who_leaves_while_his_picture_is_decoded_disturbs_nobody(pool, file):
    path = file(drawn("PNG", (3000, 2000)))
    await pool.inspect(path)
    for delay in (0, 0.001, 0.01, 0.05):
        looking = asyncio.create_task(pool.inspect(path))
        await asyncio.sleep(delay)
        looking.cancel()
        await asyncio.wait([looking])
        assert (await pool.inspect(path)).width == 3000


async def test_nothing_is_left_at_the_end(file):
    before = len(list(Path("/dev/fd").iterdir()))
    async with Decoders(PIXELS, MEMORY) as pool:
        await asyncio.gather(*(pool.inspect(file(PNG)) for _ in range(8)))
    assert processes() == []
    assert len(list(Path("/dev/fd").iterdir())) == before


async def test_a_program_that_does_not_start_is_no_fault_of_the_picture(pool, file, monkeypatch):
    monkeypatch.setattr(decoder_process.sys, "executable", "/bin/false")
    with pytest.raises(UnavailableError):
        await pool.inspect(file(PNG))
    monkeypatch.undo()
    await pool.inspect(file(PNG))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_is_accepted_gives_thumbnails_whatever_its_exif_says(orientation):
    file = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x829A] = "an exposure time that is no number"
    Image.new("RGB", (400, 300)).save(file, "JPEG", exif=exif)
    content = file.getvalue()
    pictures.prepare(PIXELS)
    found = pictures.inspect(BytesIO(content), PIXELS, lambda _: None)
    with Image.open(BytesIO(shrink(BytesIO(content), 100, lambda _: None))) as small:
        assert (small.width < small.height) == (found.width < found.height)


async def test_a_damaged_picture_leaves_no_memory_that_the_next_one_needs(file):
    """Of a truncated progressive picture libjpeg's buffers stay behind in cycles."""
    large = drawn("JPEG", (7000, 5000), progressive=True, subsampling=0, quality=10)
    damaged, honest = file(large[: len(large) // 2]), file(drawn("JPEG", (4000, 3000)))
    async with Decoders(PIXELS, 300 * MEGABYTE) as pool:
        for _ in range(3):
            with pytest.raises((InvalidRequestError, TooLargeError)):
                await pool.inspect(damaged)
            assert (await pool.inspect(honest)).width == 4000


HONEST = {
    "progressive": lambda size: drawn("JPEG", size, progressive=True, subsampling=0),
    "webp": lambda size: drawn("WEBP", size, quality=50, method=0),
    "avif": lambda size: drawn("AVIF", size, speed=10),
    "grey with transparency": lambda size: drawn("PNG", size, "LA"),
    "16 bit": lambda size: drawn("PNG", size, "I;16"),
    "float": lambda size: drawn("TIFF", size, "F"),
    "with transparency": lambda size: drawn("PNG", size, "RGBA"),
    "palette": lambda size: drawn("PNG", size, "P", transparency=0),
    "cmyk": lambda size: drawn("JPEG", size, "CMYK"),
}


@pytest.mark.parametrize("name", HONEST)
async def test_an_honest_picture_is_taken_and_gives_its_thumbnails_however_small_its_share(file, monkeypatch, name):
    """As on a machine with many processors."""
    monkeypatch.setattr(decoders, "LEAST_SHARE", 1)
    monkeypatch.setattr(decoders, "_processors", lambda: 12)
    path = file(HONEST[name]((3000, 2000)))
    async with Decoders(PIXELS, 144 * MEGABYTE) as pool:
        assert (await pool.inspect(path)).width == 3000
        with Image.open(BytesIO(await pool.shrink(opening(path), 160))) as small:
            assert (small.format, small.width) == ("WEBP", 160)


async def test_descriptors_that_are_all_in_use_are_no_fault_of_the_picture(pool, file, monkeypatch):
    def exhausted(*_):
        raise OSError(24, "Too many open files")

    path = file(PNG)
    with monkeypatch.context() as full:
        full.setattr(decoder_process.socket, "socketpair", exhausted)
        with pytest.raises(UnavailableError):
            await pool.inspect(path)
    await pool.inspect(path)


async def test_who_leaves_a_queue_leaves_it_whatever_happens_at_the_same_moment():
    turns = Turns(1, 10)
    done = []

    async def wait():
        async with turns.turn(("a", "")):
            done.append(1)

    async with turns.turn(("a", "")):
        first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
        await asyncio.sleep(0)
        first.cancel()
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert done == [1]
    async with turns.turn(("a", "")):
        pass
