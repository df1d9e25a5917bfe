"""A walk through the folders of a store on a disk."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kt_images.files.store import Listed


def walk(objects: Path) -> Iterator[Listed]:
    """Yield all objects, and whatever else lies among them, in the order of their names."""
    for entry in _entries(objects):
        if entry.is_dir(follow_symlinks=False):
            for below in _entries(Path(entry.path)):
                yield from _listed(below, f"{entry.name}/{below.name}")
        else:
            yield from _listed(entry, entry.name)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: os.fsencode(entry.name))


def _listed(entry: os.DirEntry[str], key: str) -> Iterator[Listed]:
    # Gone since its folder was read.
    with contextlib.suppress(FileNotFoundError):
        found = entry.stat(follow_symlinks=False)
        # A rename leaves the time of the last write: an object may be younger than its bytes.
        yield Listed(key, found.st_size, max(found.st_mtime, found.st_ctime))
