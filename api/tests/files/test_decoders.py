"""Pictures are decoded in processes of their own: what an attacker's bytes cost there, and nobody else."""

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from PIL import Image

from hostile_pictures import HOSTILE, denied, frames
from kt_images.errors import InvalidRequestError, TooLargeError, UnavailableError, UnsupportedMediaTypeError
from kt_images.files import decoder, decoder_process, decoders, pictures
from kt_images.files.decoders import Decoders
from kt_images.files.shrinking import MAX_PROFILE, fitting, shrink
from kt_images.files.turns import Turns
from pictures import ROTATED, drawn

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
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "kt_images.files.decoder" in " ".join(child.cmdline()):
                found.append(child)
    return found


def peak(process):
    """The most that a process has had resident, in bytes; of the one that it was started by nothing counts."""
    with contextlib.suppress(OSError, IndexError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_picture_costs_seconds_and_megabytes_and_holds_up_nobody(pool, file, name):
    """The limits watched together: this picture's time and memory, the loop's lag, and honest pictures beside it."""
    hostile, honest = file(HOSTILE[name]()), file(PNG)
    lag, waited, peaks, done = [0.0], [], [0], asyncio.Event()

    async def beat():
        while not done.is_set():
            before = time.thread_time()  # what else runs on the machine holds the loop up, too
            await asyncio.sleep(0.01)
            lag[0] = max(lag[0], time.thread_time() - before)

    async def others():
        while not done.is_set():
            before = time.monotonic()
            assert (await pool.inspect(honest)).content_type == "image/png"
            waited.append(time.monotonic() - before)
            peaks.extend(peak(process) for process in processes())
            await asyncio.sleep(0.05)

    async def look():
        # Taken, if it is cheap enough after all; refused, but never a failure of ours.
        with contextlib.suppress(TooLargeError, InvalidRequestError, UnsupportedMediaTypeError):
            await pool.inspect(hostile)

    beside = [asyncio.create_task(beat()), asyncio.create_task(others())]
    started = time.monotonic()
    await asyncio.gather(look(), look())
    took = time.monotonic() - started
    done.set()
    await asyncio.gather(*beside)
    assert took < 60  # on a machine with other things to do
    assert max(waited) < 30
    assert lag[0] < 0.5
    assert max(peaks) < MEMORY + 100 * MEGABYTE


async def test_the_kernel_holds_the_limits(pool, file):
    await pool.inspect(file(PNG))
    (process,) = processes()
    soft = {name: process.rlimit(getattr(psutil, f"RLIMIT_{name}"))[0] for name in ("AS", "NOFILE", "FSIZE", "CORE")}
    assert soft["AS"] < process.memory_info().vms + MEMORY
    assert soft["NOFILE"] == 5
    assert process.num_fds() == 4
    for name in ("AS", "NOFILE", "FSIZE", "CORE"):
        assert process.rlimit(getattr(psutil, f"RLIMIT_{name}"))[1] != psutil.RLIM_INFINITY
    assert (soft["FSIZE"], soft["CORE"]) == (0, 0)
    assert not process.net_connections("inet")


def test_a_picture_s_time_is_its_own_whatever_the_process_has_used_before():
    """In a process of its own, which would end otherwise."""
    program = """
import math, signal, time
from kt_images.files import decoder
while time.process_time() < 2 * decoder.SECONDS:
    pass
allowance = decoder.Allowance(2**40, 2**30, 0, 1, math.inf)
left = [signal.getitimer(signal.ITIMER_PROF)[0]]
for pixels in (10**6, 10**7):
    allowance.declare(pixels)
    left.append(signal.getitimer(signal.ITIMER_PROF)[0])
print(*left, flush=True)
allowance = decoder.Allowance(2**40, 2**30, 0, 2, 0.1)
allowance.declare(10**9 // 4)
while True:
    pass
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert [float(one) for one in ended.stdout.split()] == pytest.approx([1, 1.25, 3.75], abs=0.2)
    assert ended.returncode == -signal.SIGPROF


async def test_pictures_that_take_long_leave_a_place_for_the_others(file, monkeypatch):
    monkeypatch.setattr(decoders, "_processors", lambda: 2)
    monkeypatch.setattr(decoders, "QUICK_SECONDS", 0.1)
    slow, quick = file(frames(100, 700)), file(PNG)
    async with Decoders(PIXELS, MEMORY) as pool:
        looking = [asyncio.create_task(pool.inspect(slow)) for _ in range(4)]
        for _ in range(3):
            await asyncio.sleep(0.2)
            assert (await pool.inspect(quick)).content_type == "image/png"
            assert not any(task.done() for task in looking)
        assert [one.width for one in await asyncio.gather(*looking)] == [700] * 4


async def test_a_cheap_lie_costs_no_process(pool, file, caplog):
    await pool.inspect(file(PNG))
    before = processes()
    with pytest.raises((InvalidRequestError, UnsupportedMediaTypeError, TooLargeError)):
        await pool.inspect(file(HOSTILE["a directory beyond the end of any file"]()))
    assert processes() == before
    assert not caplog.messages


async def test_a_system_that_does_not_limit_memory_is_told_of_at_the_start(tmp_path, monkeypatch, caplog):
    async with Decoders(PIXELS, MEMORY):
        assert not caplog.messages
    monkeypatch.setattr(decoder, "STATM", tmp_path / "absent")
    async with Decoders(PIXELS, MEMORY):
        (line,) = caplog.messages
    assert "does not limit the memory" in line


async def test_a_decoder_knows_no_password(pool, file, monkeypatch):
    monkeypatch.setenv("POSTGRES_DSN", "password=secret")
    await pool.inspect(file(PNG))
    (process,) = processes()
    assert "POSTGRES_DSN" not in process.environ()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGPROF])
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


OTHERS = {"save_all": True, "append_images": [Image.new("RGB", (900, 600), color) for color in ("red", "blue")]}
TURNED = {"exif": ROTATED.tobytes()}


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [("JPEG", "RGB", {}), ("JPEG", "CMYK", TURNED), ("PNG", "RGBA", {}), ("PNG", "P", TURNED), ("PNG", "I;16", {}),
     ("PNG", "RGB", OTHERS), ("GIF", "P", {}), ("GIF", "RGB", OTHERS), ("WEBP", "RGB", TURNED), ("WEBP", "RGB", OTHERS),
     ("AVIF", "RGB", TURNED), ("HEIF", "RGB", TURNED), ("HEIF", "RGB", OTHERS), ("HEIF", "RGB", OTHERS | {"primary_index": 2}),
     ("TIFF", "F", {}), ("TIFF", "RGB", OTHERS | TURNED), ("MPO", "RGB", OTHERS | TURNED), ("BMP", "RGB", {})],
)  # fmt: skip
async def test_a_thumbnail_is_the_same_whenever_it_is_made(pool, file, form, mode, options):
    pictures.prepare(PIXELS)
    path = file(drawn(form, (900, 600), mode, **options))
    found = await pool.inspect(path, (320, 160, 1280))
    assert list(found.thumbnails) == [320, 160]
    for width, made in found.thumbnails.items():
        assert made == await pool.shrink(opening(path), width)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_colour_profile_is_kept_in_thumbnails_unless_it_is_absurdly_large(form):
    pictures.prepare(PIXELS)
    for size, kept in ((3000, True), (MAX_PROFILE + 1, False)):
        content = drawn(form, (400, 300), icc_profile=os.urandom(size))
        with Image.open(BytesIO(shrink(BytesIO(content), 100, lambda _: None))) as small:
            assert ("icc_profile" in small.info) == kept


def test_a_thumbnail_keeps_the_shape_of_its_picture():
    assert fitting((4000, 3000), (320, 3000)) == (320, 240)
    assert fitting((3000, 4000), (3000, 320)) == (240, 320)
    assert fitting((16_000, 1), (160, 1)) == (160, 1)
    assert fitting((500, 50_000), (320, 16_383)) == (164, 16_383)
    assert fitting((100, 50), (320, 50)) == (100, 50)


def test_a_picture_that_is_larger_than_it_declared_is_damaged_and_a_smaller_one_gives_its_thumbnails():
    pictures.prepare(PIXELS)
    with pytest.raises(InvalidRequestError):
        pictures.inspect(BytesIO(denied("HEIF", 64)), PIXELS, lambda _: None)
    boastful = bytearray(drawn("HEIF", (40, 30)))
    size = boastful.index(b"ispe") + 8
    boastful[size + 4 : size + 8] = (64).to_bytes(4)
    shown = pictures.inspect(BytesIO(boastful), PIXELS, lambda _: None)
    with Image.open(BytesIO(shrink(BytesIO(boastful), 20, lambda _: None))) as small:
        assert small.size == fitting((shown.width, shown.height), (20, shown.height))


async def test_a_large_picture_with_transparency_gives_thumbnails_of_every_width(file):
    """There is no room for a second one of half its size, which the widest would be made from."""
    path = file(drawn("PNG", (5000, 5000), "RGBA", compress_level=1))
    async with Decoders(PIXELS, 176 * MEGABYTE) as pool:
        assert (await pool.inspect(path)).width == 5000
        for width in (160, 1280):
            with Image.open(BytesIO(await pool.shrink(opening(path), width))) as small:
                assert small.size == (width, width)


async def test_a_decoder_gives_its_memory_back_after_a_photograph_and_is_not_replaced(file):
    photograph = Image.effect_noise((800, 600), 60).resize((4000, 3000)).convert("RGB")
    photograph.save(content := BytesIO(), "JPEG", quality=90)
    path = file(content.getvalue())
    async with Decoders(PIXELS, MEMORY) as pool:
        await pool.inspect(path, (320,))
        before = processes()
        for _ in range(12):
            await pool.inspect(path, (320,))
        assert processes() == before


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
