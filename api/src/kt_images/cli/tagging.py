"""`tags` and `rename-tag`: the tags that there are, and other names for them."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from kt_images.cli import output
from kt_images.cli.errors import Status
from kt_images.cli.names import shown
from kt_images.cli.work import run
from kt_images.client import Client


@dataclass
class Wanted:
    """Which tags, in which order."""

    prefix: str | None
    contains: str | None
    order: Literal["name", "images"]
    limit: int | None


def list_tags(server: str, wanted: Wanted, *, as_json: bool) -> Status:
    """Write each tag with the number of its images. Raises CliError."""
    return run(_list_tags(server, wanted, as_json))


def rename_tag(server: str, tag: str, to: str, merge: bool) -> Status:
    """Rename the tag on all images. Raises CliError."""
    return run(_rename_tag(server, tag, to, merge))


async def _list_tags(server: str, wanted: Wanted, as_json: bool) -> Status:
    async with Client(server) as client:
        found = client.tags(prefix=wanted.prefix, contains=wanted.contains, order=wanted.order, limit=wanted.limit)
        async with aclosing(found) as tags:
            async for one in tags:
                output.write(output.as_json([one]) if as_json else f"{one.images}\t{shown(one.tag)}\n")
    output.flush()
    return Status.DONE


async def _rename_tag(server: str, tag: str, to: str, merge: bool) -> Status:
    async with Client(server) as client:
        outcome = await client.rename_tag(tag, to, merge=merge)
    output.say(f"{output.counted(outcome.changed, 'image')} changed")
    return Status.DONE
