"""`get`: images become local files."""

import shlex
from array import array
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from kt_images.cli import output
from kt_images.cli.errors import CliError, MisusedError, Status
from kt_images.cli.layout import Layout
from kt_images.cli.progress import Display, display
from kt_images.cli.service import service
from kt_images.cli.work import Tally, each, run
from kt_images.client import Attachment, Client


@dataclass(frozen=True)
class Options:
    """How images are downloaded."""

    folder: Path
    layout: Layout
    overwrite: bool
    jobs: int
    quiet: bool
    patience: float


@dataclass
class Got(Tally):
    """How many files are downloaded."""

    files: int = 0
    held: int = 0  # files that were there already

    def __str__(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{output.counted(self.files, 'file')} downloaded, {self.held:,} already there{failed}"


def get(server: str, ids: "array[int]", options: Options) -> Status:
    """Download all files of the images.

    Raises MisusedError if the folder is a file, and FatalError after reporting how many are done.
    """
    if options.folder.is_file():
        image_id, file = ids[0] if len(ids) == 1 else "ID", shlex.quote(str(options.folder))
        one = f"for one file: kt-images get {image_id} -o - > {file}"
        raise MisusedError(f"-o names a folder, and {options.folder} is a file; {one}")
    return run(_get(server, ids, options))


def write(server: str, ids: "array[int]", patience: float) -> Status:
    """Write the bytes of the only file of one image to standard output.

    Raises MisusedError for several images or a terminal, and CliError for none or several files.
    """
    if len(ids) != 1:
        raise MisusedError(f"-o - writes one file, but {len(ids):,} images are named; -o DIR takes several")
    if output.is_terminal():
        raise MisusedError("Standard output is a terminal; redirect it to a file: kt-images get ID -o - > FILE")
    return run(_write(server, ids[0], patience))


async def _get(server: str, ids: "array[int]", options: Options) -> Status:
    tally = Got()
    async with service(server, options.patience) as client:
        try:
            with display("Getting", len(ids), 0, quiet=options.quiet) as moving:

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
    for attachment in await _attachments(client, image_id):
        target = options.folder / options.layout.path(image_id, attachment.filename, attachment.sha256, tags)
        moving.expect(attachment.size)
        try:
            is_new = await client.download(attachment, target, overwrite=options.overwrite, progress=moving.moved)
        except OSError as error:
            raise CliError(f"{target}: {error.strerror}") from error
        if is_new:
            tally.files += 1
        else:
            tally.held += 1
            moving.expect(-attachment.size)


async def _write(server: str, image_id: int, patience: float) -> Status:
    async with service(server, patience) as client:
        attachments = await _attachments(client, image_id)
        if len(attachments) > 1:
            raise CliError(f"Image <{image_id}> has {len(attachments):,} files; -o DIR takes all of them")
        async with aclosing(client.chunks(attachments[0])) as chunks:
            async for chunk in chunks:
                output.write_bytes(chunk)
    return Status.DONE


async def _attachments(client: Client, image_id: int) -> list[Attachment]:
    attachments = await client.attachments(image_id)
    if not attachments:
        raise CliError(f"Image <{image_id}> has no file", Status.NOT_FOUND)
    return attachments
