"""A disk that is full, or that fails: the upload is refused, nothing else is touched, and it is over when it is over."""

import contextlib
import json
import os

import psycopg2
import pytest

from kt_images.database import data_folder
from services import wait_until
from sql import ask
from victim import Victim, a_picture


def left_over(folder):
    return list((folder / "incoming").iterdir())


@pytest.mark.parametrize("options", ["size=2m", "size=20m,nr_inodes=20"])
def test_a_full_disk_refuses_uploads_and_serves_on(options, mount, dsn, cared_for):
    folder = mount(options)
    with Victim(dsn, folder) as victim:
        stored = {}
        while (status := victim.upload(image := victim.new_image(), "a", picture := a_picture(300))) == 200:
            stored[image] = picture
        assert status == 507
        assert len(stored) > 3
        while (status := victim.upload(image := next(iter(stored)), "a", picture := a_picture(300))) == 200:
            stored[image] = picture  # the image's folder was there already
        assert status == 507
        assert left_over(folder) == []
        assert all(victim.download(image, "a") == picture for image, picture in stored.items())

        for image in list(stored)[:3]:
            assert victim.call(f"/images/{image}", method="DELETE")[0] == 204
            del stored[image]
        cared_for(folder)
        image, picture = victim.new_image(), a_picture(300)
        assert victim.upload(image, "a", picture) == 200
        stored[image] = picture
        assert all(victim.download(image, "a") == picture for image, picture in stored.items())
    assert cared_for(folder) == f"{len(stored)} rows, {len(stored)} objects: all is well\n"


def filled(folder):
    """Leave no byte free; give the file to remove."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def an_image(size=48):
    """An image whose row does not become smaller by compression."""
    return json.dumps({"filename": "x", "tags": [os.urandom(size).hex() for _ in range(64)]}).encode()


@pytest.fixture
def embedded_victim(mount, uploads):
    """A service whose embedded database has a small disk of its own; gives the service and that disk's folder."""
    folder = mount("size=160m,mode=755")
    with Victim("", uploads, database_dir=folder / "db") as victim:
        yield victim, folder
        victim.process.terminate()
        victim.process.wait(60)


def test_a_full_disk_of_the_database_refuses_changes_and_serves_on(embedded_victim):
    victim, folder = embedded_victim
    assert victim.upload(image := victim.new_image(), "a", picture := a_picture()) == 200
    ballast = filled(folder)
    statuses = {victim.call("/images", an_image())[0] for _ in range(100)}
    assert 507 in statuses
    assert statuses <= {201, 507}
    for status, body in (victim.call("/images", an_image()), victim.call("/images", an_image())):
        assert (status, b"database" in body) == (507, True)
    assert victim.download(image, "a") == picture
    assert [victim.call(path)[0] for path in ("/images", f"/images/{image}", "/readyz", "/healthz")] == [200] * 4
    ballast.unlink()
    assert victim.call("/images", an_image())[0] == 201
    assert victim.upload(image, "b", picture) == 200


def test_a_database_that_has_no_room_for_its_log_comes_back_once_there_is_some(embedded_victim):
    """PostgreSQL ends itself then, and cannot always start again."""
    victim, folder = embedded_victim
    assert victim.upload(image := victim.new_image(), "a", picture := a_picture()) == 200
    ballast = filled(folder)
    with pytest.raises(psycopg2.OperationalError, match="closed the connection"):
        while True:
            ask(data_folder.dsn(folder / "db"), "select pg_switch_wal(), pg_logical_emit_message(false, '', 'x')")
    answers = [victim.call(path, body) for _ in range(5) for path, body in (("/images", an_image()), ("/readyz", None))]
    assert {status for status, _ in answers} <= {200, 503}, answers
    assert victim.call("/healthz")[0] == 200
    ballast.unlink()
    wait_until(lambda: victim.call("/images", an_image())[0] == 201)
    assert victim.download(image, "a") == picture


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize(
    ("threads", "call", "when", "error", "status"),
    [
        ("file_threads", "write", 1, "ENOSPC", 507),
        ("file_threads", "fsync", 1, "EIO", 500),  # the file's
        ("file_threads", "fsync", 1, "EDQUOT", 507),
        ("file_threads", "fsync", 2, "EIO", 500),  # the folder's
        ("file_threads", "rename", 1, "EIO", 500),
        ("file_threads", "mkdir", 1, "ENOSPC", 507),
        ("file_threads", "close", 1, "EIO", 500),
    ],
)
def test_a_disk_that_fails_changes_nothing(threads, call, when, error, status, dsn, uploads, tmp_path, cared_for):
    log = tmp_path / "log"
    kin = f"/^{call}(at)?2?$"  # which of them is called is the processor's matter
    with Victim(dsn, uploads) as victim:
        assert victim.upload(victim.new_image(), "a", a_picture()) == 200
        image = victim.new_image()
        with victim.traced(
            getattr(victim, threads)(), "-y", "-o", str(log), "-e", f"inject={kin}:error={error}:when={when}"
        ):
            assert victim.upload(image, "a", a_picture()) == status, log.read_text()
        assert "INJECTED" in log.read_text()
        if call == "fsync":
            assert log.read_text().count("fsync(") == when  # never tried again: the second time would lie
        assert left_over(uploads) == []
        assert victim.download(image, "a") is None
        assert victim.upload(image, "a", picture := a_picture()) == 200
        assert victim.download(image, "a") == picture
    assert cared_for() == "2 rows, 2 objects: all is well\n"
