"""Going through the store: every file that lies there, in steps, so that a large store costs no memory and no delay."""

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

# The keys that `Store.keep()` makes, and the names of the smaller pictures that stand beside their original.
NAME = re.compile(r"(?P<key>[0-9]{3}/(?P<image_id>[0-9]{1,19})-[0-9a-f]{32}\.[a-z0-9]+)(\.w[0-9]+\.webp)?")

# The time of the last write of a file that was seen without a row; no upload was made then.
NOTICED = 0.0

# Looked at in one go: enough to be worth a thread and a query.
STEP = 250


@dataclass(frozen=True)
class Found:
    """A file that lies in the store: where, and when it last changed, its name included.

    `noticed`: it was seen without a row before, which `Store.notice()` notes on the file, as its last change.
    `key` is that of the object, or of the object that a smaller picture was made from, and `image_id` the image that
    the key was made for. Both are None for a file of which the store did not choose the name.
    """

    path: Path
    changed: float
    noticed: bool
    key: str | None = None
    image_id: int | None = None


def files(folder: Path) -> Iterator[Found]:
    """Yield what lies in the folder and one level below. Blocks at each step."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            for below in _entries(Path(entry.path)):
                yield from _found(below, f"{entry.name}/{below.name}")
        else:
            yield from _found(entry, entry.name)


async def in_steps(found: Iterator[Found]) -> AsyncIterator[list[Found]]:
    """Yield what is found, a few hundred at a time; each step is a thread's."""
    while step := await asyncio.to_thread(list, itertools.islice(found, STEP)):
        yield step


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _found(entry: os.DirEntry[str], name: str) -> Iterator[Found]:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return  # gone since its folder was read
    # A rename is no change of the bytes: an object may be younger than what is in it.
    changed = max(status.st_mtime, status.st_ctime)
    noticed = status.st_mtime == NOTICED
    if named := NAME.fullmatch(name):
        yield Found(Path(entry.path), changed, noticed, named["key"], int(named["image_id"]))
    else:
        yield Found(Path(entry.path), changed, noticed)
