"""A change of many images in one call: progress line by line, and at its end the outcome, which proves it is done."""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError
from msgspec.json import Decoder

from kt_images.client.connection import Connection
from kt_images.client.errors import ConnectionBrokenError, IncompleteChangeError
from kt_images.client.images import MALFORMED, Image, ImageId
from kt_images.client.listing import whole_lines

Number = Annotated[int, Meta(ge=0)]

# Called with how many images are done, and of how many.
Done = Callable[[int, int], None]


ACCEPT = {"Accept": "application/x-ndjson"}


def nobody(_done: int, _total: int) -> None:
    """Tell nobody of the progress."""


class Failure(Struct, frozen=True):
    """An image that was not changed, and why."""

    image_id: ImageId
    error: str


class Outcome(Struct, frozen=True, rename="camel"):
    """How many images were looked at, changed, and left as they were because they would have too many tags.

    After a dry run: how many would be looked at, and a sample of them.
    """

    total_images: Number
    changed: Number
    failed: Number
    failures: list[Failure]
    """The first hundred."""
    sample: list[Image] = []
    """The first of the images, after a dry run."""


class _Preview(Struct, rename="camel"):
    total_images: Number
    sample: list[Image]


class _Progress(Struct, rename="camel"):
    done_images: Number
    total_images: Number


_read_outcome, _read_progress = Decoder(Outcome).decode, Decoder(_Progress).decode
_read_preview = Decoder(_Preview).decode


def _outcome_of_none(body: bytes) -> Outcome:
    preview = _read_preview(body)
    return Outcome(preview.total_images, 0, 0, [], preview.sample)


async def change(
    connection: Connection, method: str, path: str, progress: Done, query: list[tuple[str, str]], body: Any
) -> Outcome:
    """Send the change and follow its progress. Raises IncompleteChangeError when it breaks off.

    It is tried again while the service is unavailable, and not after a broken connection: by then it may be done, and
    `expected` would be wrong.
    """
    options = {"params": query, "json": body}
    if ("dry_run", "true") in query:
        return await connection.call(method, path, _outcome_of_none, **options)

    async def attempt() -> Outcome:
        reading = _Reading(progress)
        try:
            async with connection.answer(method, path, headers=ACCEPT, **options) as response:
                async for lines in whole_lines(connection, response):
                    if not reading.takes(lines):
                        raise connection.unexpected()
        except ConnectionBrokenError as error:
            raise reading.incomplete() from error
        if reading.outcome is None:
            raise reading.incomplete()
        return reading.outcome

    return await connection.repeat(attempt)


class _Reading:
    """What the lines of an answer have said so far."""

    def __init__(self, progress: Done) -> None:
        self.outcome: Outcome | None = None
        self._progress, self._done = progress, 0

    def takes(self, lines: bytes) -> bool:
        """Take lines; return False if they are not such as the service sends."""
        return all(map(self._takes, lines.split(b"\n")))

    def incomplete(self) -> IncompleteChangeError:
        """Return the error for an answer that ends here."""
        done = f"{self._done:,} {'image' if self._done == 1 else 'images'}"
        return IncompleteChangeError(f"The change broke off after {done}; the same call again finishes it")

    def _takes(self, line: bytes) -> bool:
        try:
            told = _read(line)
        except MALFORMED:
            return False
        if self.outcome:
            return False  # it is the last line
        if isinstance(told, Outcome):
            self.outcome = told
            return told.total_images >= max(self._done, told.changed + told.failed)
        self._done = told.done_images
        self._progress(told.done_images, told.total_images)
        return True


def _read(line: bytes) -> Outcome | _Progress:
    try:
        return _read_progress(line)
    except ValidationError:
        return _read_outcome(line)
