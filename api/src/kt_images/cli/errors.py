"""Failures with their exit statuses; the text of each is the sentence that the user reads."""

from enum import IntEnum


class Status(IntEnum):
    """The exit statuses."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    DENIED = 5
    INTERRUPTED = 130


class CliError(Exception):
    """A failure. If it concerns one of many items, the others are done all the same."""

    status = Status.FAILED

    def __init__(self, sentence: str, status: Status | None = None) -> None:
        super().__init__(sentence)
        self.status = self.status if status is None else status


class MisusedError(CliError):
    """The command line is wrong."""

    status = Status.MISUSED


class FatalError(CliError):
    """A failure after which no other item can succeed."""


class ClosedOutputError(Exception):
    """The reader of standard output has closed it."""
