"""Everything that a call can raise. The text of each error is a sentence for the user."""

from collections.abc import Sequence

from msgspec import Struct


class ClientError(Exception):
    """The base of all errors of the client."""


class InvalidAddressError(ClientError):
    """The address of the service is malformed."""


class InvalidKeyError(ClientError):
    """The key, or the id of one, is malformed. The text does not repeat it."""


class Fault(Struct, frozen=True, rename={"part": "in"}):
    """A field that the service refuses: `part` of the request (`body`, `query string`), path in it, reason."""

    part: str
    loc: tuple[str | int, ...]
    msg: str


class RefusedError(ClientError):
    """The service refuses the request: it answers with a status of 400 or more, in its own words."""

    def __init__(self, sentence: str, status: int, faults: Sequence[Fault] = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.faults = faults


class NotFoundError(RefusedError):
    """The service has no such image, attachment or URL."""


class UnauthorizedError(RefusedError):
    """The service wants a key, or another than that which was sent."""

    def __init__(self, sentence: str, status: int, *, is_key_sent: bool) -> None:
        super().__init__(sentence, status)
        self.is_key_sent = is_key_sent


class ForbiddenError(RefusedError):
    """The key lacks the scope that the call needs; the text says which."""


class StoreFullError(RefusedError):
    """The service has no space left; other uploads will fail too."""


class UnexpectedAnswerError(ClientError):
    """The answer is not one of kt-images: another service, a proxy, or a redirect."""


class IncompleteListError(ClientError):
    """The list was cut off before its end."""


class DigestMismatchError(ClientError):
    """The downloaded bytes do not have the attachment's SHA-256."""


class TargetExistsError(ClientError):
    """There is a file where a download was to be stored."""


class TransientError(ClientError):
    """The call may succeed if it is tried again after `pause` seconds. The client has done so already."""

    pause = 0.0


class ConnectionBrokenError(TransientError):
    """The connection broke before the end of the answer."""


class UnreachableError(TransientError):
    """The service cannot be reached, or answers that it is unavailable."""

    def __init__(self, sentence: str, pause: float = 0.0) -> None:
        super().__init__(sentence)
        self.pause = pause


class NeverReachedError(UnreachableError):
    """No call has reached the service yet: the address may be wrong, so the client does not wait."""


class IncompleteChangeError(ClientError):
    """A change of many images broke off; the same call again finishes it."""


class IncompleteImportError(ClientError):
    """An import broke off after so many `lines`; those behind them are to be sent again."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        super().__init__(f"The import broke off; {lines:,} lines are done with")
