"""The store in a bucket, when the bucket, its server or the line to it fail: with a real server behind a bad line."""

import asyncio
import hashlib
import os
import ssl
import subprocess
import sys
import time

import aiohttp
import obstore
import pytest

import buckets
from files.test_stores import kept, listed, pieces
from kt_images.base_settings import Settings, StoreStyle
from kt_images.errors import DamagedStoreError, DiskFullError, OtherStoreError, UnavailableError
from kt_images.files import bucket as bucket_module
from kt_images.files import bucket_failures, credentials, keys, s3, threads
from kt_images.files.disk import Disk
from kt_images.files.place import Place
from kt_images.files.store import read_all
from kt_images.files.stores import name_of, store_of
from kt_images.presence import Presence

CONTENT = os.urandom(3_000_000)
BOUND = 40  # seconds: what hangs, hangs for longer


@pytest.fixture
def quick(monkeypatch):
    """Have the client's patience end soon."""
    for name, seconds in (("READ", 0.5), ("SEND", 2)):
        monkeypatch.setattr(s3, name, s3.timedelta(seconds=seconds))


@pytest.fixture
def settings(bucket, bad_line, tmp_path):
    changes = {"store_endpoint": bad_line.endpoint, "uploads_dir": tmp_path / "uploads"}
    return Settings().model_copy(update=bucket.settings | changes)


@pytest.fixture
async def store(settings):
    return await entered(store_of(settings, Presence("store")))


async def entered(store):
    await store.open()
    await store.enter(await store.claim())
    return store


async def fails(awaitable, error=UnavailableError):
    async with asyncio.timeout(BOUND):
        with pytest.raises(error) as caught:
            await awaitable
    return caught.value


async def opened(store, key, size=None, part=None):
    async with store.content(key, size, part) as content:
        return await read_all(content)


async def test_a_mute_server_is_unavailable_in_bounded_time_whatever_is_asked(quick, store, bad_line):
    key = await kept(store, CONTENT)
    bad_line.is_mute = True
    began = time.monotonic()
    calls = [store.check(), store.probe(), store.identity(), opened(store, key), opened(store, key, part=range(0))]
    calls += [opened(store, key, part=range(1, 5)), store.remove([key]), listed(store), kept(store, CONTENT)]
    await asyncio.gather(*(fails(call) for call in calls))
    assert time.monotonic() - began < threads.FETCH_SECONDS  # the client gave up by itself
    bad_line.is_mute = False
    assert await opened(store, key) == CONTENT


async def test_no_patience_is_without_an_end():
    assert (s3.LAST_RETRY + s3.READ).total_seconds() < threads.FETCH_SECONDS
    assert s3.SEND.total_seconds() < bucket_module.SEND_SECONDS


async def test_a_server_that_refuses_connections_is_unavailable_and_said_once(store, bad_line, caplog):
    bad_line.refuses = True
    for _ in range(3):
        await fails(store.check())
    bad_line.refuses = False
    lines = [one.getMessage() for one in caplog.records if "cannot be reached" in one.getMessage()]
    assert len(lines) == 1
    assert bad_line.endpoint in lines[0]


async def test_why_a_server_cannot_be_reached_is_in_the_log(settings, caplog):
    store = store_of(settings.model_copy(update={"store_endpoint": "http://127.0.0.1:1"}), Presence("store"))
    await store.open()
    assert "Connection refused" in caplog.text


async def test_what_clients_are_told_names_no_endpoint(store, bad_line):
    bad_line.refuses = True
    assert bad_line.endpoint not in str(await fails(store.check()))
    bad_line.refuses = False


async def test_an_answer_that_is_cut_is_asked_for_again_from_there(store, bad_line):
    key = await kept(store, CONTENT)
    async with store.content(key, len(CONTENT)) as content:
        pieces = aiter(content)
        received = [await anext(pieces)]
        bad_line.break_all()
        received += [piece async for piece in pieces]
    assert b"".join(received) == CONTENT


async def test_a_put_whose_answer_is_lost_is_sent_again(store, bad_line):
    bad_line.lose = b"PUT "
    key = await kept(store, CONTENT)
    assert len([one for one in bad_line.seen if keys.object_key(key).encode() in one]) == 2
    assert await opened(store, key, len(CONTENT)) == CONTENT


async def test_a_marker_whose_answer_is_lost_is_the_store_s_own(settings, bad_line):
    store = store_of(settings)
    await store.open()
    bad_line.lose = b"PUT "
    claimed = await store.claim()
    assert not bad_line.lose
    assert claimed == await store_of(settings).identity()
    await store.enter(claimed)


async def test_bytes_that_are_spoilt_on_their_way_are_not_kept(store, bad_line):
    bad_line.spoil = b"precious"
    content = bytes(100_000) + b"precious" * 20 + bytes(100_000)
    await fails(kept(store, content))
    bad_line.spoil = b""
    assert await listed(store) == []


async def test_parts_of_a_large_file_that_is_not_kept_are_given_back(store, bad_line):
    bad_line.spoil = b"precious"
    await fails(kept(store, bytes(s3.PART) + b"precious" * 20 + bytes(s3.PART)))
    begun = [one for one in bad_line.seen if b"?uploads" in one]
    given_back = [one for one in bad_line.seen if one.startswith(b"DELETE ") and b"uploadId=" in one]
    assert len(begun) == len(given_back) == 1


@pytest.mark.parametrize("size", [s3.PART, s3.PART + 1, 3 * s3.PART + 5])
async def test_large_files_go_in_parts_and_come_back(store, bad_line, size):
    content = os.urandom(size)
    bad_line.seen.clear()
    key = await kept(store, content)
    assert any(b"?uploads" in one for one in bad_line.seen) == (size > s3.PART)
    assert hashlib.sha256(await opened(store, key, size)).digest() == hashlib.sha256(content).digest()
    async with store.local_file(key, size) as file:
        assert file.read(100) == content[:100]
    assert await store.sweep(time.time() + 60) == []


async def test_a_keep_whose_client_leaves_comes_to_its_end(store, bad_line):
    key, bad_line.delay = keys.new_key(1, "png"), 0.5
    async with store.receive(pieces(CONTENT), len(CONTENT)) as received:
        keeping, began = asyncio.create_task(store.keep(received, key, "image/png")), time.monotonic()
        await asyncio.sleep(0.1)
        keeping.cancel()
        await asyncio.wait([keeping])
        assert time.monotonic() - began >= bad_line.delay  # the file must not go before the answer comes
    assert keeping.cancelled()
    bad_line.delay = 0
    assert await opened(store, key, len(CONTENT)) == CONTENT


PROGRAM = """
import asyncio, sys
from kt_images.base_settings import read_settings
from kt_images.files.disk import Disk
from kt_images.files.place import Place
from kt_images.files.store import InMemory
from kt_images.files.stores import name_of, store_of

async def main():
    store = store_of(read_settings([]))
    await store.open()
    await store.enter(await store.claim())
    async with store.receive(InMemory(b"x" * 500_000), 500_000) as received:
        keeping = [store.keep(received, f"001/1-{number:032}.png", "image/png") for number in range(5)]
        asyncio.gather(*keeping, *(store.check() for _ in range(5)))
        await asyncio.sleep(0.05)
        print("leaves", flush=True)
        raise SystemExit(3)

asyncio.run(main())
"""


def test_an_interpreter_that_exits_waits_for_what_is_in_flight(bucket, bad_line, tmp_path):
    settings = bucket.settings | {"store_endpoint": bad_line.endpoint, "uploads_dir": str(tmp_path)}
    environment = {f"KT_IMAGES_{name.upper()}": value for name, value in settings.items()}
    bad_line.delay = 0.2
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=BOUND, check=False
    )
    assert (ended.returncode, ended.stdout) == (3, "leaves\n"), ended.stderr
    assert len([name for name in bucket.names() if name.startswith("objects/")]) == 5


async def test_a_bucket_that_was_deleted_is_unavailable_and_nothing_in_it_is_missing(store, bucket):
    key = await kept(store, CONTENT)
    bucket.server.delete(bucket.bucket)
    for call in (
        lambda: opened(store, key, len(CONTENT)),
        lambda: opened(store, key, part=range(0)),  # by HEAD, which cannot tell
        lambda: opened(store, keys.new_key(5, "png")),
        lambda: listed(store),
        lambda: store.remove([key]),
        lambda: kept(store, CONTENT),
        store.check,
        store.probe,
    ):
        await fails(call())


async def test_a_bucket_that_was_emptied_is_unavailable_and_another_store(store, bucket, settings):
    key = await kept(store, CONTENT)
    store_id = await store.identity()
    bucket.server.delete(bucket.bucket)
    bucket.server.make(bucket.bucket)
    for call in (lambda: opened(store, key), lambda: opened(store, key, part=range(0)), lambda: listed(store)):
        await fails(call())
    await fails(store.check())
    again = store_of(settings)
    await again.open()
    await fails(again.enter(store_id), OtherStoreError)


async def test_a_listing_of_a_bucket_that_goes_meanwhile_does_not_end_well(store, bucket):
    for number in range(s3.STEP + 1):
        obstore.put(bucket.server.client(bucket.bucket), f"some/where/objects/001/{number:04}", b"x")

    async def walk():
        async for _ in store.walk():
            if bucket.bucket in existing:
                existing.clear()
                bucket.server.delete(bucket.bucket)

    existing = {bucket.bucket}
    await fails(walk())


async def test_the_marker_of_another_store_is_not_ours(store, bucket):
    key = await kept(store, CONTENT)
    obstore.put(bucket.server.client(bucket.bucket), "some/where/store.json", b'{"store_id": "other"}')
    await fails(store.check())
    await fails(opened(store, keys.new_key(1, "png")))
    await fails(anext(store.walk()))  # at once: nothing of another store may be taken for an orphan of this one
    assert await opened(store, key) == CONTENT  # what is there is what the row names: keys are used once


async def test_an_object_is_missing_only_where_the_bucket_is(store):
    key = keys.new_key(1, "png")
    await fails(opened(store, key), DamagedStoreError)
    await fails(opened(store, key, part=range(0)), DamagedStoreError)
    await fails(opened(store, await kept(store, b"short"), part=range(7, 9)), DamagedStoreError)


def failure(kind, code, status):
    text = f"Error performing PUT https://s3.example.org/b/k in 1ms - Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>\n\nDebug source:\nX"
    return kind(text)


@pytest.mark.parametrize(
    ("kind", "code", "status", "error"),
    [
        (obstore.exceptions.PermissionDeniedError, "QuotaExceeded", "403 Forbidden", DiskFullError),
        (obstore.exceptions.GenericError, "XMinioStorageFull", "507 Insufficient Storage", DiskFullError),
        (obstore.exceptions.GenericError, "Other", "507 Insufficient Storage", DiskFullError),
        (obstore.exceptions.PermissionDeniedError, "AccessDenied", "403 Forbidden", UnavailableError),
        (obstore.exceptions.GenericError, "SlowDown", "503 Slow Down", UnavailableError),
        (FileNotFoundError, "NoSuchBucket", "404 Not Found", UnavailableError),
        (FileNotFoundError, "NoSuchKey", "404 Not Found", bucket_failures.MissingError),
    ],
)
def test_what_a_server_says_has_its_meaning(kind, code, status, error):
    assert type(bucket_failures.translate(failure(kind, code, status))) is error


def test_clocks_that_are_apart_are_named_in_the_log():
    error = UnavailableError()
    error.__cause__ = failure(obstore.exceptions.PermissionDeniedError, "RequestTimeTooSkewed", "403 Forbidden")
    assert "clock" in bucket_failures.reason(error)
    assert "Debug" not in bucket_failures.reason(error)
    assert not bucket_failures.is_lasting(error)


async def test_a_real_server_refuses_a_signature_of_another_time(bucket):
    """A signature of long ago, as a machine with a wrong clock makes it."""
    url = obstore.sign(bucket.server.client(bucket.bucket), "GET", "x", s3.timedelta(seconds=1))
    old = url.replace(url.partition("X-Amz-Date=")[2][:8], "20200101")
    async with aiohttp.ClientSession() as session, session.get(old) as answer:
        assert answer.status in {400, 403}


@pytest.mark.parametrize("number", [1, 3])
async def test_no_more_objects_are_open_at_once_than_may_be(settings, bad_line, number):
    store = await entered(store_of(settings.model_copy(update={"max_downloads": number})))
    key = await kept(store, CONTENT)
    contexts = [store.content(key) for _ in range(number + 1)]
    for context in contexts[:-1]:
        await context.__aenter__()
    error = await fails(contexts[-1].__aenter__())
    assert "Too many files" in str(error)
    for context in contexts[:-1]:
        await context.__aexit__(None, None, None)
    assert await opened(store, key) == CONTENT


async def test_a_probe_writes_now_and_then_and_leaves_one_object(store, bucket, bad_line, monkeypatch):
    bad_line.seen.clear()
    assert await store.room() is None
    for _ in range(3):
        assert await store.probe() is None
    assert len([one for one in bad_line.seen if one.startswith(b"PUT ")]) == 1
    assert bucket.names() == ["probe", "store.json"]
    monkeypatch.setattr(bucket_module, "PROBE_SECONDS", 0)
    await store.probe()
    assert len([one for one in bad_line.seen if one.startswith(b"PUT ")]) == 2


async def test_a_bucket_that_is_not_there_or_refuses_the_key_is_said_at_the_start(settings, bucket, monkeypatch):
    error = await fails(store_of(settings.model_copy(update={"store": "s3://kt-nobody-s"})).open())
    assert "the bucket does not exist" in str(error)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "secret key" in str(await fails(store_of(settings).open()))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    assert "access key" in str(await fails(store_of(settings).open()))


async def test_a_server_that_is_away_at_the_start_is_waited_for(settings, bad_line):
    bad_line.refuses = True
    store = store_of(settings)
    await store.open()
    await fails(store.claim())
    bad_line.refuses = False
    await entered(store)


FILE = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n[other]\naws_access_key_id = c\naws_secret_access_key = d\naws_session_token = e\n"


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "credentials"
    made.write_text(FILE)
    return {"AWS_SHARED_CREDENTIALS_FILE": str(made)}


def given(environment):
    found = credentials.provider(environment)()
    return found["access_key_id"], found["secret_access_key"], found["token"]


def test_credentials_come_from_the_environment_and_then_from_the_file(file, tmp_path):
    key = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    assert given(key | file) == ("x", "y", None)
    assert given(key | {"AWS_SESSION_TOKEN": "z"}) == ("x", "y", "z")
    assert given(file) == ("a", "b", None)
    assert given(file | {"AWS_PROFILE": "other"}) == ("c", "d", "e")


def test_credentials_in_the_file_may_change_while_the_service_runs(file, tmp_path):
    give = credentials.provider(file)
    assert give()["expires_at"] - credentials.datetime.now(credentials.UTC) <= credentials.LIFE
    (tmp_path / "credentials").write_text(FILE.replace("= a\n", "= new\n"))
    assert give()["access_key_id"] == "new"


@pytest.mark.parametrize("wrong", ["", "nonsense", "[default]\naws_access_key_id = a\n", "[default\n", "\xff"])
def test_without_credentials_nobody_is_asked_and_the_sentence_names_where_they_go(tmp_path, wrong):
    (tmp_path / "credentials").write_bytes(wrong.encode("latin-1"))
    with pytest.raises(UnavailableError, match="AWS_ACCESS_KEY_ID"):
        credentials.provider({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")})


async def test_a_store_without_credentials_does_not_wait_for_any(settings, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert "AWS_ACCESS_KEY_ID" in str(await fails(store_of(settings).open()))


@pytest.mark.parametrize("name", credentials.GIVEN_BY_SERVERS)
def test_credentials_that_a_server_gives_are_left_to_the_client(name):
    assert credentials.provider({name: "x"}) is None


def test_without_the_extra_the_sentence_names_it(settings, tmp_path):
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "from kt_images.base_settings import read_settings\n"
        "from kt_images.files.stores import store_of\n"
        "from kt_images.errors import MissingExtraError\n"
        "try: store_of(read_settings(['--store', 's3://bucket']))\n"
        "except MissingExtraError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "pip install 'kt-images[s3]'" in said


def test_a_bucket_is_named_as_it_was_set_and_a_folder_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_of(Settings(store="s3://bucket/some/where/")) == "s3://bucket/some/where"
    assert name_of(Settings(store="files")) == str(tmp_path / "files")
    assert name_of(Settings(uploads_dir="uploads")) == str(tmp_path / "uploads")
    assert isinstance(store_of(Settings(store="files")), Disk)


@pytest.mark.parametrize(("style", "path"), [(StoreStyle.PATH, "/b-1/a/k"), (StoreStyle.VIRTUAL, "/a/k")])
def test_a_bucket_is_in_the_path_or_in_the_name_of_the_host(bucket, style, path):
    settings = Settings(store="s3://b-1/a", store_endpoint="https://s3.example.org:8443", store_style=style)
    place = Place.parse(settings.store)
    assert s3.Client(place, settings).address(f"{place.prefix}k").partition("?")[0] == path
    assert s3._with_bucket("https://s3.example.org:8443", "b-1") == "https://b-1.s3.example.org:8443"


@pytest.fixture
def tls(tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return made


async def test_a_certificate_is_believed_if_the_file_of_the_setting_vouches_for_it(bucket, tls, tmp_path, caplog):
    with buckets.proxy(bucket.server.endpoint, tls) as line:
        changes = {"store_endpoint": line.endpoint, "uploads_dir": tmp_path / "uploads"}
        settings = Settings().model_copy(update=bucket.settings | changes)
        stranger = store_of(settings, Presence("store"))
        await stranger.open()
        await fails(stranger.claim())
        assert "UnknownIssuer" in caplog.text
        trusting = settings.model_copy(update={"store_ca_file": str(tmp_path / "cert.pem")})
        store = await entered(store_of(trusting))
        assert await opened(store, await kept(store, CONTENT)) == CONTENT
