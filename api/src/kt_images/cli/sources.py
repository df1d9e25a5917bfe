"""Local files: which are meant, what they are called, their tags, their digests."""

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kt_images.cli.errors import CliError, MisusedError

# What is taken out of a folder; a file that is named itself is sent whatever it is called.
EXTENSIONS = {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
# Control characters; what Python makes of bytes that are not UTF-8.
UNSENDABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
PIECE = 2**20


@dataclass(frozen=True)
class Source:
    """A file that is to be added."""

    path: Path
    tags: list[str]
    size: int

    @property
    def filename(self) -> str:
        """The name that the image gets. Raises CliError for one that no text can hold."""
        if UNSENDABLE.search(self.path.name):
            raise CliError("The file's name is not UTF-8 or has control characters")
        return self.path.name


@dataclass(frozen=True)
class Fingerprint:
    """The SHA-256 of a file's bytes, and how to tell that they are still the same."""

    sha256: bytes
    state: tuple[int, ...]


def find(paths: list[Path], recursive: bool, tags: list[str], tags_from_path: bool) -> list[Source]:
    """Return the files, and with `recursive` the pictures in the folders, hidden ones left out.

    Raises MisusedError for a folder without `recursive`.
    """
    found = []
    for path in paths:
        if _is(path, stat.S_ISDIR):
            if not recursive:
                raise MisusedError(f"{path} is a folder; --recursive adds what is in it")
            inside = _pictures(path)
        else:
            inside = iter([path])
        for file in inside:
            folders = file.relative_to(path).parts[:-1] if file != path else _written(path)
            own = [*tags, *folders] if tags_from_path else tags
            found.append(Source(file, list(dict.fromkeys(own)), _size(file)))
    return list({source.path: source for source in found}.values())


async def fingerprint(path: Path) -> Fingerprint:
    """Read the whole file, in a thread, piece by piece so that it can be interrupted.

    Raises OSError, and CliError for what is no regular file: reading it could have no end, or use it up.
    """
    if path.exists() and not path.is_file():
        raise CliError("This is not a regular file")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        state = _state(os.fstat(file.fileno()))
        while piece := await asyncio.to_thread(file.read, PIECE):
            digest.update(piece)
    return Fingerprint(digest.digest(), state)


def unlink(path: Path, known: Fingerprint) -> None:
    """Delete the file. Raises OSError, and CliError if it was changed since its fingerprint was taken."""
    if _state(path.stat()) != known.state:
        raise CliError("The file has changed meanwhile and is kept")
    path.unlink()


def _pictures(folder: Path) -> Iterator[Path]:
    """Yield the pictures, and folders that cannot be read: each will be named as a failure when its turn comes."""
    unreadable: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(where, name)
            if not name.startswith(".") and path.suffix.lower() in EXTENSIONS and _is(path, stat.S_ISREG, else_=True):
                yield path
    yield from (Path(error.filename) for error in unreadable)


def _is(path: Path, kind: Callable[[int], bool], *, else_: bool = False) -> bool:
    """Tell what the path leads to, `else_` where it cannot be followed: it will be named when its turn comes."""
    try:
        return kind(path.stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError:
        return else_


def _written(path: Path) -> tuple[str, ...]:
    """The folders in front of a file, as they were written on the command line."""
    return tuple(part for part in path.parts[:-1] if part not in {path.anchor, ".", ".."})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it will be named when its turn comes


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
