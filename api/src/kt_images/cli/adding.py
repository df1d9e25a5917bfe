"""`add`: local files become images."""

from contextlib import aclosing
from dataclasses import dataclass

from kt_images.cli import output, tags
from kt_images.cli.errors import CliError, FatalError, Status
from kt_images.cli.failures import WRITTEN, failure
from kt_images.cli.limits import refusals
from kt_images.cli.lookup import Candidate, candidates
from kt_images.cli.names import shown
from kt_images.cli.progress import Display, display
from kt_images.cli.service import service
from kt_images.cli.sources import Skipped, Source
from kt_images.cli.work import Tally, each, run
from kt_images.client import Client, NotFoundError, RefusedError
from kt_images.client.errors import Fault
from kt_images.client.fingerprints import Fingerprint, is_unchanged


@dataclass(frozen=True)
class Options:
    """How files are added."""

    jobs: int
    delete_after: bool
    strict: bool
    ids: bool
    quiet: bool
    patience: float


@dataclass(frozen=True)
class Stored:
    """The image that holds a file's bytes. If it is not new, it may have been given tags that it lacked."""

    image_id: int
    is_new: bool = False
    is_tagged: bool = False


@dataclass
class Added(Tally):
    """How many files are added."""

    held: int = 0  # of those that are done: files whose bytes the service held already
    tagged: int = 0  # of those that are held: files whose image lacked some of their tags
    total: int = 0

    def __str__(self) -> str:
        parts = [f"{self.done - self.held:,} added", f"{self.held:,} already there"]
        if self.tagged:
            parts.append(f"{self.tagged:,} of them tagged")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if rest := self.total - self.done - self.failed:
            parts.append(f"{rest:,} not sent: run it again to continue")
        return ", ".join(parts)


def dry_run(files: list[Source], skipped: Skipped, strict: bool) -> Status:
    """Show which files would be sent, with which tags, and which the service would refuse, without asking it."""
    status, number, size = Status.DONE, 0, 0
    for source in files:
        if reason := next(refusals(source), None):
            output.say(f"{source.path}: {reason}")
            status = Status.FAILED
            continue
        columns = [str(source.path), ", ".join(source.tags)] if source.tags else [str(source.path)]
        output.write("\t".join(map(shown, columns)) + "\n")
        number, size = number + 1, size + source.size
    refused = f", {len(files) - number:,} would be refused" if number < len(files) else ""
    output.say(f"{output.counted(number, 'file')} would be sent, {size:,} bytes{refused}")
    return _reported(skipped, strict, status)


def add(server: str, files: list[Source], skipped: Skipped, options: Options) -> Status:
    """Send the files. If the service holds a file's bytes already, their image only gets the tags that it lacks.

    Reports how many are done even if it is interrupted or raises FatalError.
    """
    status = run(_add(server, files, options))
    return _reported(skipped, options.strict, status, options.quiet)


def _reported(skipped: Skipped, strict: bool, status: Status, quiet: bool = False) -> Status:
    if skipped and (strict or not quiet):
        output.say(str(skipped))
    return Status.FAILED if skipped and strict else status


async def _add(server: str, files: list[Source], options: Options) -> Status:
    tally = Added(total=len(files))
    hidden = options.quiet or (options.ids and output.is_terminal())
    async with service(server, options.patience) as client:
        try:
            with display("Adding", len(files), sum(source.size for source in files), quiet=hidden) as moving:

                async def one(candidate: Candidate) -> None:
                    stored = await _stored(client, candidate, options.delete_after, moving)
                    tally.held += not stored.is_new
                    tally.tagged += stored.is_tagged
                    moving.finished()
                    if options.ids:
                        output.write(f"{stored.image_id}\n")
                        output.flush()

                def failed(candidate: Candidate, error: CliError) -> None:
                    moving.say(f"{candidate.source.path}: {error}")
                    moving.expect(-candidate.source.size)
                    moving.finished()

                async with aclosing(candidates(client, files)) as rest:
                    await each(rest, options.jobs, one, failed, tally)
        finally:
            if not options.quiet:
                output.say(f"{output.counted(len(files), 'file')}: {tally}")
    return tally.status


async def _stored(client: Client, candidate: Candidate, delete_after: bool, moving: Display) -> Stored:
    source, known = candidate.source, candidate.fingerprint
    if isinstance(known, CliError):
        raise known
    filename = source.filename  # if it cannot be sent, the file is refused even if the service holds its bytes
    try:
        stored = await _held(client, candidate, moving) or await _sent(client, source, filename, known, moving)
        if delete_after:
            await _delete(client, stored.image_id, source, known)
    except OSError as error:
        raise CliError(error.strerror or "The file cannot be read") from error
    return stored


async def _held(client: Client, candidate: Candidate, moving: Display) -> Stored | None:
    """Return the image that holds the bytes already, with all of the file's tags; None if there is none."""
    if candidate.image_id is None:
        return None
    try:
        is_tagged = await _tagged(client, candidate.image_id, candidate.source)
    except NotFoundError:
        return None  # deleted since the service was asked
    moving.expect(-candidate.source.size)
    return Stored(candidate.image_id, is_tagged=is_tagged)


async def _tagged(client: Client, image_id: int, source: Source) -> bool:
    """Add the tags that the image lacks; return whether it lacked some. Raises NotFoundError."""
    missing = tags.lacking(await client.image(image_id), source.tags) if source.tags else []
    if missing:
        try:
            await client.change(image_id, add_tags=missing)
        except NotFoundError:
            raise
        except RefusedError as error:
            raise _refused(error, source, missing) from error
    return bool(missing)


async def _sent(client: Client, source: Source, filename: str, known: Fingerprint, moving: Display) -> Stored:
    try:
        image, is_new = await client.upload(
            source.path, filename, source.tags, sha256=known.sha256, progress=moving.moved
        )
    except NotFoundError as error:
        raise FatalError(f"The service takes no uploads: {error}") from error
    except RefusedError as error:
        raise _refused(error, source, source.tags) from error
    return Stored(image.image_id, is_new)


def _refused(error: RefusedError, source: Source, sent: list[str]) -> CliError:
    """Return the failure of a file that the service refuses; a refused tag is named by where it comes from."""
    match error.faults:
        case [Fault(loc=(_, int(place))), *_] if 0 <= place < len(sent):
            origin = source.origin(sent[place])
        case _:
            origin = source.origin()
    return failure(error, WRITTEN | {"tags": origin, "add_tags": origin})


async def _delete(client: Client, image_id: int, source: Source, known: Fingerprint) -> None:
    """Delete the local file, once the service has confirmed that it holds these very bytes."""
    if known.sha256 not in {one.sha256 for one in await client.attachments(image_id)}:
        raise CliError("The service does not confirm that it holds these bytes; the file is kept")
    if not is_unchanged(source.path, known):
        raise CliError("The file has changed since it was read and is kept")
    source.path.unlink()
