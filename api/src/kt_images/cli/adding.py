"""`add`: local files become images."""

import asyncio
from dataclasses import dataclass

from kt_images.cli import output, sources
from kt_images.cli.client import Client
from kt_images.cli.errors import CliError, Status
from kt_images.cli.images import Image
from kt_images.cli.names import shown
from kt_images.cli.progress import Display, display
from kt_images.cli.sources import Fingerprint, Source
from kt_images.cli.work import Tally, each


@dataclass(frozen=True)
class Options:
    """How files are added."""

    jobs: int
    delete_after: bool
    ids: bool
    quiet: bool
    patience: float


@dataclass
class Added(Tally):
    """How it went."""

    held: int = 0  # of those that are done, images that were there already
    total: int = 0

    def __str__(self) -> str:
        parts = [f"{self.done - self.held:,} added", f"{self.held:,} already there"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if rest := self.total - self.done - self.failed:
            parts.append(f"{rest:,} not sent: run it again to go on")
        return ", ".join(parts)


def dry_run(files: list[Source]) -> Status:
    """Tell which files would be sent, with which tags, and send nothing."""
    for source in files:
        output.write(f"{shown(str(source.path))}\t{', '.join(map(shown, source.tags))}\n")
    output.say(f"{output.counted(len(files), 'file')} would be sent, {sum(source.size for source in files):,} bytes")
    return Status.DONE


def add(server: str, files: list[Source], options: Options) -> Status:
    """Send the files; those whose bytes the service holds only get there the tags that they lack.

    Tells how far it came also when it raises FatalError or is interrupted.
    """
    return asyncio.run(_add(server, files, options))


async def _add(server: str, files: list[Source], options: Options) -> Status:
    tally = Added(total=len(files))
    hidden = options.quiet or (options.ids and output.is_terminal())
    async with Client(server, options.patience) as client:
        try:
            with display("Adding", len(files), sum(source.size for source in files), hidden) as moving:

                async def one(source: Source) -> None:
                    image, new = await _send(client, source, options.delete_after, moving)
                    tally.held += not new
                    moving.finished()
                    if options.ids:
                        output.write(f"{image.image_id}\n")
                        output.flush()

                def failed(source: Source, error: CliError) -> None:
                    moving.say(f"{source.path}: {error}")
                    moving.moved(source.size)
                    moving.finished()

                await each(files, options.jobs, one, failed, tally)
        finally:
            if not options.quiet:
                output.say(f"{output.counted(len(files), 'file')}: {tally}")
    return tally.status


async def _send(client: Client, source: Source, delete_after: bool, moving: Display) -> tuple[Image, bool]:
    try:
        filename = source.filename
        known = await sources.fingerprint(source.path)
        image, new = await client.upload(source.path, filename, source.tags, known.sha256, moving.moved)
        if delete_after:
            await _delete(client, image, source, known)
    except OSError as error:
        raise CliError(error.strerror or "The file cannot be read") from error
    return image, new


async def _delete(client: Client, image: Image, source: Source, known: Fingerprint) -> None:
    """Delete the local file, once the service has said that it holds these very bytes."""
    if known.sha256.hex() not in {one.sha256 for one in await client.attachments(image.image_id)}:
        raise CliError("The service does not confirm that it holds these bytes; the file is kept")
    sources.unlink(source.path, known)
