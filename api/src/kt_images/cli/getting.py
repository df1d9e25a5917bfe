"""`get`: images become local files."""

import asyncio
import os
from array import array
from dataclasses import dataclass
from pathlib import Path

from kt_images.cli import output
from kt_images.cli.client import Client
from kt_images.cli.download import EXISTS, download, is_held
from kt_images.cli.errors import CliError, NotFoundError, Status
from kt_images.cli.layout import Layout
from kt_images.cli.progress import Display, display
from kt_images.cli.work import Tally, each


@dataclass(frozen=True)
class Options:
    """How files are got."""

    folder: Path
    layout: Layout
    overwrite: bool
    jobs: int
    quiet: bool
    patience: float


@dataclass
class Got(Tally):
    """How it went."""

    files: int = 0
    held: int = 0

    def __str__(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{output.counted(self.files, 'file')} downloaded, {self.held:,} already there{failed}"


def get(server: str, ids: "array[int]", options: Options) -> Status:
    """Download all files of the images. Raises FatalError, after telling how far it came."""
    return asyncio.run(_get(server, ids, options))


async def _get(server: str, ids: "array[int]", options: Options) -> Status:
    tally = Got()
    async with Client(server, options.patience) as client:
        try:
            with display("Getting", len(ids), None, options.quiet) as moving:

                async def one(image_id: int) -> None:
                    await _image(client, image_id, options, moving, tally)
                    moving.finished()

                def failed(_: int, error: CliError) -> None:
                    moving.say(str(error))
                    moving.finished()

                await each(ids, options.jobs, one, failed, tally)
        finally:
            if not options.quiet:
                output.say(f"{output.counted(len(ids), 'image')}: {tally}")
    return tally.status


async def _image(client: Client, image_id: int, options: Options, moving: Display, tally: Got) -> None:
    tags = (await client.image(image_id)).tags if options.layout.needs_tags else []
    attachments = await client.attachments(image_id)
    if not attachments:
        raise NotFoundError(f"Image <{image_id}> has no file")
    for attachment in attachments:
        target = options.folder / options.layout.path(image_id, attachment.filename, attachment.sha256, tags)
        try:
            if await is_held(target, attachment):
                tally.held += 1
                continue
            if os.path.lexists(target) and not options.overwrite:
                raise CliError(EXISTS.format(target))
            moving.expect(attachment.size)
            await download(client, image_id, attachment, target, options.overwrite, moving.moved)
            tally.files += 1
        except OSError as error:
            raise CliError(f"{target}: {error.strerror}") from error
