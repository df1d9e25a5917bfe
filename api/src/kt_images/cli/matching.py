"""`tag` and `rm` with filters: all images that match are changed by one call."""

from collections.abc import Awaitable, Callable, Sequence

from kt_images.cli import output
from kt_images.cli.choosing import confirm, nothing_chosen
from kt_images.cli.errors import Status
from kt_images.cli.progress import display
from kt_images.cli.tags import changes
from kt_images.cli.work import run
from kt_images.client import Client, Filters, Outcome

Done = Callable[[int, int], None]
# Makes the change, if it is still about as many images as are expected.
Call = Callable[[Client, int | None, Done], Awaitable[Outcome]]


def tag(
    server: str, filters: Filters, add: Sequence[str], remove: Sequence[str], *, dry_run: bool, yes: bool
) -> Status:
    """Add and remove tags of all images that match, after confirmation. Raises CliError."""
    what = changes(add, remove)

    async def call(client: Client, expected: int | None, done: Done) -> Outcome:
        return await client.change_many(add_tags=add, remove_tags=remove, expected=expected, done=done, **filters)

    total = run(_count(server, filters))
    images = output.counted(total, "image")
    if not total:
        return nothing_chosen(())
    if dry_run:
        return _told(f"{images} would be tagged {what}")
    if not yes and not confirm("tag", f"Tag {images} {what}?"):
        return Status.FAILED
    outcome = run(_change(server, "Tagging", total, call, asked=not yes))
    for failure in outcome.failures:
        output.say(f"Image <{failure.image_id}>: {failure.error}")
    output.say(f"{outcome.changed:,} of {outcome.total_images:,} changed")
    return Status.FAILED if outcome.failed else Status.DONE


def delete(server: str, filters: Filters, *, dry_run: bool, yes: bool) -> Status:
    """Delete all images that match and their files, after confirmation. Raises CliError."""

    async def call(client: Client, expected: int | None, done: Done) -> Outcome:
        return await client.delete_many(expected=expected, done=done, **filters)

    total = run(_count(server, filters))
    images = output.counted(total, "image")
    if not total:
        return nothing_chosen(())
    if dry_run:
        return _told(f"{images} would be deleted")
    if not yes and not confirm("rm", f"Delete {images} and {'its' if total == 1 else 'their'} files?"):
        return Status.FAILED
    outcome = run(_change(server, "Deleting", total, call, asked=not yes))
    return _told(f"{outcome.changed:,} of {output.counted(outcome.total_images, 'image')} deleted")


def _told(sentence: str) -> Status:
    output.say(sentence)
    return Status.DONE


async def _count(server: str, filters: Filters) -> int:
    async with Client(server) as client:
        return await client.count(**filters)


async def _change(server: str, title: str, total: int, call: Call, *, asked: bool) -> Outcome:
    """Make the change; if the user was asked, only if it is about as many images as the question said."""
    told = 0
    async with Client(server) as client:  # a connection may have been closed while the user thought
        with display(title, total) as moving:

            def done(now: int, _: int) -> None:
                nonlocal told
                moving.finished(now - told)
                told = now

            return await call(client, total if asked else None, done)
