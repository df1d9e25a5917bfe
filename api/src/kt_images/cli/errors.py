"""What can go wrong, each with its exit status; the text of each is the sentence that is shown."""

from enum import IntEnum


class Status(IntEnum):
    """The exit statuses."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    INTERRUPTED = 130


class CliError(Exception):
    """A failure whose sentence is all that is shown of it. One item fails with it, others go on."""

    status = Status.FAILED


class MisusedError(CliError):
    """The command line asks for what cannot be done."""

    status = Status.MISUSED


class NotFoundError(CliError):
    """The service has no such image or file."""

    status = Status.NOT_FOUND


class FatalError(CliError):
    """After this nothing else can succeed either."""


class StoreFullError(FatalError):
    """The service has no room left."""


class PassingError(CliError):
    """May go well when tried again, after `pause` seconds or more."""

    pause = 0.0


class BrokenError(PassingError):
    """The connection broke in the middle."""


class UnreachableError(PassingError, FatalError):
    """The service cannot be reached, or says that it cannot work now."""

    status = Status.UNREACHABLE

    def __init__(self, sentence: str, pause: float = 0.0) -> None:
        super().__init__(sentence)
        self.pause = pause


class NeverReachedError(FatalError):
    """The service could not be reached even once: the address may be wrong, so waiting is no help."""

    status = Status.UNREACHABLE


class ClosedOutputError(Exception):
    """Whoever read standard output has had enough."""
