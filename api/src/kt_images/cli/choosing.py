"""Which images a command is for: those whose ids are given, or all that match."""

import asyncio
import sys
from array import array
from collections.abc import Sequence
from contextlib import aclosing

from kt_images.cli import output
from kt_images.cli.client import Client
from kt_images.cli.errors import MisusedError
from kt_images.cli.ids import image_ids
from kt_images.cli.images import Wanted


def chosen(server: str, words: Sequence[str], wanted: Wanted) -> "array[int]":
    """Return the ids that `words` are, or of all images that match: 8 bytes each.

    Raises MisusedError for both or neither, and CliError when not all that match could be listed.
    """
    if bool(words) == bool(wanted.query):
        raise MisusedError("Name images by their ids, or by --tag, --all, --any and --none: one of the two")
    return image_ids(words) if words else asyncio.run(_matching(server, wanted))


def confirm(question: str) -> bool:
    """Ask on the terminal. Raises MisusedError when nobody is there."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise MisusedError(f"{question} Nobody is there to be asked; --yes says so")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    agreed = sys.stdin.readline().strip().lower() in {"y", "yes"}
    if not agreed:
        output.say("Nothing was done")
    return agreed


async def _matching(server: str, wanted: Wanted) -> "array[int]":
    found = array("q")
    async with Client(server) as client, aclosing(client.images(wanted)) as batches:
        async for images in batches:
            found.extend(image.image_id for image in images)
    return found
