"""Paths inside the project's container that are lost when the container is removed."""

import re
from pathlib import Path

from kt_images.errors import InvalidRequestError

# Made by the Dockerfile. Other containers, such as those of a build server, are not our concern.
MARKER = Path("/etc/kt-images-container")
MOUNTS = Path("/proc/self/mountinfo")

IN_MEMORY = {"tmpfs", "ramfs"}


def refuse_lost_path(path: Path, marker: Path = MARKER, mounts: Path = MOUNTS) -> None:
    """Raise InvalidRequestError for a path in the project's container that is not on a volume."""
    if not marker.exists():
        return
    point, kind = _mount_of(path.resolve(), mounts.read_text())
    if point == Path("/") or kind in IN_MEMORY:
        raise InvalidRequestError(
            f"{path} is inside the container and would be lost with it. Write to a volume, or to stdout on the host: "
            "docker-compose exec -T api python3 -m kt_images.manage.backup - > images.tar"
        )


def _mount_of(path: Path, mounts: str) -> tuple[Path, str]:
    """Return where the file system with `path` is mounted, and its type; proc_pid_mountinfo(5) has the format."""
    found = []
    for line in mounts.splitlines():
        point, kind = line.split()[4], line.partition(" - ")[2].split()[0]
        unescaped = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
        found.append((Path(unescaped), kind))
    return max((one for one in found if path.is_relative_to(one[0])), key=lambda one: len(one[0].parts))
