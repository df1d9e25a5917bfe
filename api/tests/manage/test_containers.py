"""A backup inside the container that is lost with it."""

from pathlib import Path

import pytest

from conftest import ROOT
from kt_images.errors import InvalidRequestError
from kt_images.manage.containers import MARKER, MOUNTS, refuse_lost_path

# As a container with two volumes has it.
MOUNTED = r"""
610 478 0:61 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/x
611 610 0:64 / /proc rw,nosuid - proc proc rw
612 610 0:65 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k
613 610 8:1 /srv/images /data/images rw,relatime - ext4 /dev/sda1 rw
614 610 8:1 /srv/backup /my\040backups rw,relatime master:1 - ext4 /dev/sda1 rw
615 610 0:66 / /tmp rw - tmpfs tmpfs rw
""".strip()


@pytest.fixture
def refuse(tmp_path):
    (tmp_path / "marker").touch()
    (tmp_path / "mountinfo").write_text(MOUNTED)
    return lambda path: refuse_lost_path(Path(path), tmp_path / "marker", tmp_path / "mountinfo")


@pytest.mark.parametrize(
    "path", ["/images.tar", "/data/images.tar", "/app/images.tar", "/tmp/images.tar", "/dev/shm/a"]
)
def test_a_path_on_no_volume_is_refused_with_the_command_to_use(refuse, path):
    with pytest.raises(InvalidRequestError, match=r"backup - > images\.tar"):
        refuse(path)


@pytest.mark.parametrize("path", ["/data/images/images.tar", "/my backups/images.tar"])
def test_a_path_on_a_volume_is_taken(refuse, path):
    refuse(path)


def test_outside_the_container_every_path_is_taken(tmp_path):
    refuse_lost_path(tmp_path / "images.tar", marker=tmp_path / "absent")


def test_the_system_s_own_table_is_understood(tmp_path):
    (tmp_path / "marker").touch()
    if MOUNTS.exists():
        with pytest.raises(InvalidRequestError):
            refuse_lost_path(Path("/images.tar"), tmp_path / "marker")


def test_the_dockerfile_makes_the_marker():
    assert f"touch {MARKER}" in (ROOT / "api" / "Dockerfile").read_text()
