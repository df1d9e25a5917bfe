"""A disk that is full, or that fails: the upload is refused, nothing else is touched, and it is over when it is over."""

import pytest

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
