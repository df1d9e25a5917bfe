"""Calls to a bucket: in threads, and noted, so that the log has a line when the bucket goes and one when it is back."""

import contextlib
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from kt_images.errors import UnavailableError
from kt_images.files import threads
from kt_images.files.bucket_failures import MissingError, reason
from kt_images.presence import Presence

P = ParamSpec("P")
T = TypeVar("T")

UNREACHABLE = "The store cannot be reached; please try again"


class Calls:
    """To one bucket. A service's `presence` is told how they end."""

    def __init__(self, presence: Presence | None) -> None:
        self._presence = presence

    async def fetch(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the call finds. Raises UnavailableError, and MissingError for what is not there."""
        with self._noted():
            return await threads.fetch(call, *args, **kwargs)

    async def send(self, seconds: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have the call change something, to its end even if the caller is cancelled. Raises UnavailableError."""
        with self._noted():
            try:
                return await threads.send(seconds, call, *args, **kwargs)
            except MissingError as error:  # there is nothing where it could be sent to
                raise UnavailableError(UNREACHABLE) from error

    def missed(self, why: str) -> UnavailableError:
        """Note that what was found is not the store, and why; return the error to raise."""
        if self._presence:
            self._presence.missed(why)
        return UnavailableError(UNREACHABLE)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except UnavailableError as error:
            if self._presence:
                self._presence.missed(reason(error))
            raise
        if self._presence:
            self._presence.met()
