"""`tag` and `rm`: images are changed, one call each."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable

from kt_images.cli import output
from kt_images.cli.client import Client
from kt_images.cli.errors import CliError, Status
from kt_images.cli.work import Tally, each


def change_tags(server: str, ids: "array[int]", add: list[str], remove: list[str], jobs: int) -> Status:
    """Add and remove tags of each image. Raises FatalError."""

    async def change(client: Client, image_id: int) -> None:
        await client.change_tags(image_id, add, remove)

    return asyncio.run(_each(server, ids, jobs, change, "tagged"))


def delete(server: str, ids: "array[int]", jobs: int) -> Status:
    """Delete each image with its files. Raises FatalError."""

    async def remove(client: Client, image_id: int) -> None:
        await client.delete(image_id)

    return asyncio.run(_each(server, ids, jobs, remove, "deleted"))


async def _each(
    server: str, ids: "array[int]", jobs: int, change: Callable[[Client, int], Awaitable[None]], word: str
) -> Status:
    tally = Tally()
    async with Client(server) as client:
        try:

            def failed(_: int, error: CliError) -> None:
                output.say(str(error))

            await each(ids, jobs, lambda image_id: change(client, image_id), failed, tally)
        finally:
            output.say(f"{tally.done:,} of {output.counted(len(ids), 'image')} {word}")
    return tally.status
