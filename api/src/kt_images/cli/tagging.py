"""`tags`: the tags that there are."""

import asyncio
import os
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from kt_images.cli import output
from kt_images.cli.errors import CliError, Status
from kt_images.cli.names import shown
from kt_images.cli.service import key_for, service
from kt_images.cli.work import run
from kt_images.client import Client

SECONDS = 0.2  # that somebody who types may wait


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


def tags_at_once(server: str, prefix: str, most: int) -> list[str]:
    """Return the most common tags that begin so; none if the service does not answer within SECONDS."""
    try:
        return run(_tags_at_once(server, prefix, most))
    except CliError:
        return []


async def _list_tags(server: str, wanted: Wanted, as_json: bool) -> Status:
    async with service(server) as client:
        found = client.tags(prefix=wanted.prefix, contains=wanted.contains, order=wanted.order, limit=wanted.limit)
        async with aclosing(found) as tags:
            async for one in tags:
                output.write(output.as_json([one]) if as_json else f"{one.images}\t{shown(one.tag)}\n")
    output.flush()
    return Status.DONE


async def _tags_at_once(server: str, prefix: str, most: int) -> list[str]:
    try:
        async with asyncio.timeout(SECONDS), Client(server, patience=0, key=key_for(server)) as client:
            found = client.tags(prefix=prefix or None, order="images", limit=most)
            return [one.tag async for one in found]
    except TimeoutError:
        os._exit(Status.DONE)  # the shell must not wait for the thread that still looks for the host's address
