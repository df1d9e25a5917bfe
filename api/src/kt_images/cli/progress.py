"""What moves on a terminal while files do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from kt_images.cli import output
from kt_images.cli.names import shown


class Display:
    """Tells nothing but sentences: for pipes, logs and `--quiet`."""

    def moved(self, size: int) -> None:
        """Note that so many bytes went; less than none: they have to go again."""

    def finished(self) -> None:
        """Note that a file is dealt with."""

    def expect(self, size: int) -> None:
        """Note that so many bytes more are to go."""

    def say(self, sentence: str) -> None:
        """Tell a sentence on standard error."""
        output.say(sentence)


class LiveDisplay(Display):
    """A bar with bytes, rate, time left and files."""

    def __init__(self, progress: Progress, task: TaskID, files: int) -> None:
        self._progress, self._task, self._files, self._finished = progress, task, files, 0

    def moved(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def finished(self) -> None:
        self._finished += 1
        self._progress.update(self._task, files=_files(self._finished, self._files))

    def expect(self, size: int) -> None:
        self._progress.update(self._task, total=(self._progress.tasks[0].total or 0) + size)

    def say(self, sentence: str) -> None:
        self._progress.console.print(Text(shown(sentence)), soft_wrap=True)


@contextmanager
def display(title: str, files: int, size: int | None, quiet: bool = False) -> Iterator[Display]:
    """Show what moves while the block runs, if standard error is a terminal; `size` are the bytes, where known."""
    console = Console(stderr=True)
    # Asked of the stream itself: rich also takes FORCE_COLOR for a terminal.
    if quiet or not sys.stderr.isatty() or console.is_dumb_terminal:
        yield Display()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[files]}"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False, expand=True) as progress:
        yield LiveDisplay(progress, progress.add_task(title, total=size, files=_files(0, files)), files)


def _files(finished: int, of: int) -> str:
    return f"{finished:,}/{of:,}"
