"""Which images a command is for: named by their ids, or all that match filters."""

import sys
from array import array
from collections.abc import Sequence
from contextlib import aclosing

from kt_images.cli import output
from kt_images.cli.errors import MisusedError, Status
from kt_images.cli.ids import image_ids
from kt_images.cli.service import service
from kt_images.cli.work import run
from kt_images.client import Filters


def only_filters(command: str, words: Sequence[str], filters: Filters) -> bool:
    """Return whether images are chosen by filters, and not named. Raises MisusedError for both or neither."""
    if words and filters:
        raise MisusedError("Name images by their ids or choose them by --tag and other filters, not both")
    if not words and not filters:
        raise MisusedError(
            "Which images? Name them by their ids or choose them by --tag and other filters; "
            f"for all images: kt-images list --ids | kt-images {command} -"
        )
    return not words


def chosen(command: str, server: str, words: Sequence[str], filters: Filters) -> "array[int]":
    """Return the ids that `words` name, or those of all images that match: 8 bytes each.

    Raises MisusedError for both or neither, and CliError if the list of those that match is incomplete.
    """
    return run(_matching(server, filters)) if only_filters(command, words, filters) else image_ids(words)


def nothing_chosen(words: Sequence[str]) -> Status:
    """Say that there are no images: standard input, which `words` name, has no ids, or no image matches the filters.

    It is no failure: `kt-images list --ids --tag x | kt-images rm -` may find nothing.
    """
    output.say("No ids were given" if words else "No image matches")
    return Status.DONE


def confirm(command: str, question: str) -> bool:
    """Ask on the terminal. Raises MisusedError if input is not a terminal."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise MisusedError(f"{command} needs a confirmation and input is not a terminal; add --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    agreed = sys.stdin.readline().strip().lower() in {"y", "yes"}
    if not agreed:
        output.say("Nothing was changed")
    return agreed


async def _matching(server: str, filters: Filters) -> "array[int]":
    found = array("q")
    async with service(server) as client, aclosing(client.batches(**filters)) as batches:
        async for images in batches:
            found.extend(image.image_id for image in images)
    return found
