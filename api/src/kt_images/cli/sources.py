"""Local files to add: which are meant, and their tags."""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kt_images.cli import output
from kt_images.cli.errors import CliError, MisusedError

# The files that are taken from a folder; a file that is named itself is sent whatever its extension.
EXTENSIONS = {
    *(".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png"),
    *(".tif", ".tiff", ".webp"),
}
# Control characters, and what Python makes of bytes that are not UTF-8.
UNSENDABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
FOLDER_LINK = "linked folder"
SPECIAL = "not a regular file"
MOST_KINDS = 8  # of skipped files, that a sentence names


@dataclass(frozen=True)
class Source:
    """A file to add; `size` in bytes. The first `given` tags are those of --tag, the others the names of folders."""

    path: Path
    tags: list[str]
    size: int
    given: int

    @property
    def filename(self) -> str:
        """The image's name. Raises CliError for a name that cannot be sent."""
        if UNSENDABLE.search(self.path.name):
            raise CliError("The file's name is not UTF-8 or has control characters: rename it")
        return self.path.name

    def origin(self, tag: str | None = None) -> str:
        """Return where a tag comes from, or all of them, for a sentence that begins with it."""
        if len(self.tags) == self.given or tag in self.tags[: self.given]:
            return "--tag"
        return "--tag and the folders" if tag is None else f"the folder {tag}"


@dataclass
class Skipped:
    """The files in folders that are not taken, by their kind; hidden files and folders are not counted."""

    kinds: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return self.kinds.total() > 0

    def __str__(self) -> str:
        kinds = sorted(self.kinds.items())
        named = [f"{number:,} {kind}" for kind, number in kinds[:MOST_KINDS]]
        if rest := sum(number for _, number in kinds[MOST_KINDS:]):
            named.append(f"{rest:,} others")
        return f"{output.counted(self.kinds.total(), 'file')} skipped: {', '.join(named)}"


def find(paths: Sequence[Path], recursive: bool, tags: list[str], tags_from_path: bool) -> tuple[list[Source], Skipped]:
    """Return the files and, with `recursive`, the pictures in the folders; and what was skipped there.

    Raises MisusedError for a folder without `recursive`.
    """
    found, skipped, given = {}, Skipped(), list(dict.fromkeys(tags))
    for path in paths:
        if _is(path, stat.S_ISDIR):
            if not recursive:
                raise MisusedError(f"{path} is a folder; --recursive adds the pictures in it")
            inside = _pictures(path, skipped.kinds)
        else:
            inside = iter([path])
        for file in inside:
            folders = file.relative_to(path).parts[:-1] if file != path else _written(path)
            own = list(dict.fromkeys([*given, *folders])) if tags_from_path else given
            found[file] = Source(file, own, _size(file), len(given))
    return list(found.values()), skipped


def _pictures(folder: Path, skipped: Counter[str]) -> Iterator[Path]:
    """Yield the pictures, and unreadable folders, which are reported as failures when their turn comes."""
    unreadable: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if Path(where, name).is_symlink():
                skipped[FOLDER_LINK] += 1
        for path in (Path(where, name) for name in sorted(files) if not name.startswith(".")):
            if path.suffix.lower() not in EXTENSIONS:
                skipped[path.suffix.lower() or "without extension"] += 1
            elif _is(path, stat.S_ISREG, else_=True):
                yield path
            else:
                skipped[SPECIAL] += 1
    yield from (Path(error.filename) for error in unreadable)


def _is(path: Path, kind: Callable[[int], bool], *, else_: bool = False) -> bool:
    """Return whether the path leads to that kind; `else_` if it cannot be followed: its turn will report it."""
    try:
        return kind(path.stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError:
        return else_


def _written(path: Path) -> tuple[str, ...]:
    """The folders before a file's name, as they are written on the command line."""
    return tuple(part for part in path.parts[:-1] if part not in {path.anchor, ".", ".."})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # its turn will report it
