"""The progress of a command, on a terminal."""

import sys
import time
from types import TracebackType
from typing import Self

WIDTH = 30
REDRAW_SECONDS = 0.1


class Progress:
    """A bar on stderr if that is a terminal, else nothing."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._is_shown, self._drawn_at = sys.stderr.isatty(), 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def advance(self, count: int) -> None:
        """Count `count` more items as done."""
        self._done += count
        now = time.monotonic()
        if self._is_shown and now - self._drawn_at > REDRAW_SECONDS:
            self._drawn_at = now
            filled = WIDTH * min(self._done, self._total) // max(self._total, 1)
            bar = "#" * filled + "-" * (WIDTH - filled)
            print(
                f"\r\x1b[K{self._what} [{bar}] {self._done:,} of {self._total:,}", end="", file=sys.stderr, flush=True
            )
