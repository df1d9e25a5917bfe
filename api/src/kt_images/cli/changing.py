"""`tag`, `rename` and `rm`: images are changed, one call each."""

from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kt_images.cli import output, tags
from kt_images.cli.errors import CliError, MisusedError, Status
from kt_images.cli.failures import failure
from kt_images.cli.names import shown
from kt_images.cli.progress import display
from kt_images.cli.service import service
from kt_images.cli.work import Tally, each, run
from kt_images.client import Client, ClientError


@dataclass
class Tagged:
    """How many images have changed, and which tags made no difference to how many."""

    total: int
    changed: int = 0
    held: Counter[str] = field(default_factory=Counter)
    lacking: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        reasons = [f"{self._having(number)} no tag {shown(tag)}" for tag, number in self.lacking.items()]
        reasons += [f"{self._having(number, 'already ')} the tag {shown(tag)}" for tag, number in self.held.items()]
        joint = "; " if self.changed else ": "
        return f"{self.changed:,} of {self.total:,} changed{joint if reasons else ''}{', '.join(reasons)}"

    def _having(self, number: int, adverb: str = "") -> str:
        subject = "it" if self.total == 1 else f"{number:,}"
        return f"{subject} {adverb}{'has' if number == 1 else 'have'}"


def change_tags(server: str, ids: "array[int]", add: list[str], remove: list[str], jobs: int) -> Status:
    """Add and remove tags of each image, and report which changed. Raises FatalError."""
    tagged = Tagged(len(ids))

    async def change(client: Client, image_id: int) -> None:
        image = await client.image(image_id)
        held, lacking = tags.held(image, add), tags.lacking(image, remove)
        if len(held) < len(add) or len(lacking) < len(remove):
            await client.change(image_id, add_tags=add or None, remove_tags=remove or None)
            tagged.changed += 1
        tagged.held.update(held)
        tagged.lacking.update(lacking)

    return run(_each(server, ids, jobs, "Tagging", change, lambda _: str(tagged)))


def rename(server: str, image_id: int, filename: str) -> Status:
    """Give the image another name. Raises CliError."""
    return run(_rename(server, image_id, filename))


def delete(server: str, ids: "array[int]", jobs: int) -> Status:
    """Delete each image with its files. Raises FatalError."""

    async def remove(client: Client, image_id: int) -> None:
        await client.delete(image_id)

    def summary(tally: Tally) -> str:
        return f"{tally.done:,} of {output.counted(len(ids), 'image')} deleted"

    return run(_each(server, ids, jobs, "Deleting", remove, summary))


async def _rename(server: str, image_id: int, filename: str) -> Status:
    async with service(server) as client:
        try:
            image = await client.change(image_id, filename=filename)
        except ClientError as error:
            raise failure(error, {"filename": "NAME"}, MisusedError) from error
    output.say(f"Image <{image_id}> is now named {shown(image.filename)}")
    return Status.DONE


async def _each(
    server: str,
    ids: "array[int]",
    jobs: int,
    title: str,
    change: Callable[[Client, int], Awaitable[None]],
    summary: Callable[[Tally], str],
) -> Status:
    tally = Tally()
    async with service(server) as client:
        try:
            with display(title, len(ids)) as moving:

                async def one(image_id: int) -> None:
                    await change(client, image_id)
                    moving.finished()

                def failed(_: int, error: CliError) -> None:
                    moving.say(str(error))
                    moving.finished()

                await each(ids, jobs, one, failed, tally)
        finally:
            output.say(summary(tally))
    return tally.status
