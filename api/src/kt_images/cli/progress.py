"""Progress on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from kt_images.cli import output
from kt_images.cli.names import shown


class Display:
    """Shows sentences only: for pipes, logs and `--quiet`."""

    def moved(self, size: int) -> None:
        """Count bytes that were transferred; a negative number if they must be transferred again."""

    def finished(self, number: int = 1) -> None:
        """Count items that are done or have failed."""

    def expect(self, size: int) -> None:
        """Count bytes that are yet to be transferred; a negative number if they need not be."""

    def say(self, sentence: str) -> None:
        """Write a sentence to standard error."""
        output.say(sentence)


class _Bar(Display):
    def __init__(self, progress: Progress, task: TaskID, items: int) -> None:
        self._progress, self._task, self._items, self._finished = progress, task, items, 0

    def finished(self, number: int = 1) -> None:
        self._finished += number
        self._progress.update(self._task, items=_of(self._finished, self._items))

    def say(self, sentence: str) -> None:
        self._progress.console.print(Text(shown(sentence)), soft_wrap=True)


class ItemsDisplay(_Bar):
    """A bar of items, with the time left."""

    columns: tuple[ProgressColumn, ...] = (TimeRemainingColumn(),)

    def finished(self, number: int = 1) -> None:
        super().finished(number)
        self._progress.advance(self._task, number)


class BytesDisplay(_Bar):
    """A bar of bytes, with the rate, the time left and the number of items."""

    columns: tuple[ProgressColumn, ...] = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())

    def moved(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def expect(self, size: int) -> None:
        self._progress.update(self._task, total=(self._progress.tasks[0].total or 0) + size)


@contextmanager
def display(title: str, items: int, size: int | None = None, *, quiet: bool = False) -> Iterator[Display]:
    """Show progress while the block runs, if standard error is a terminal: of `size` bytes, or of the items alone."""
    console = Console(stderr=True)
    # The stream itself is asked because rich takes FORCE_COLOR for a terminal too.
    if quiet or not sys.stderr.isatty() or console.is_dumb_terminal:
        yield Display()
        return
    kind = ItemsDisplay if size is None else BytesDisplay
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[items]}"),
        *kind.columns,
    )
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False, expand=True) as progress:
        task = progress.add_task(title, total=items if size is None else size or None, items=_of(0, items))
        yield kind(progress, task, items)


def _of(finished: int, items: int) -> str:
    return f"{finished:,}/{items:,}"
