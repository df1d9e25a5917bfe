"""`tag` and `rm` with filters: all images that match are changed by one call."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

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
    plan = _Plan("tag", f"{images} would be tagged {what}", f"Tag {images} {what}?", "Tagging", call)
    outcome = _carry_out(server, plan, total, dry_run=dry_run, yes=yes)
    if isinstance(outcome, Status):
        return outcome
    for failure in outcome.failures:
        output.say(f"Image <{failure.image_id}>: {failure.error}")
    output.say(f"{outcome.changed:,} of {outcome.total_images:,} changed")
    return Status.FAILED if outcome.failed else Status.DONE


def delete(server: str, filters: Filters, *, dry_run: bool, yes: bool) -> Status:
    """Delete all images that match and their files, after confirmation. Raises CliError."""

    async def call(client: Client, expected: int | None, done: Done) -> Outcome:
        return await client.delete_many(expected=expected, done=done, **filters)

    total = run(_count(server, filters))
    images, whose = output.counted(total, "image"), "its" if total == 1 else "their"
    plan = _Plan("rm", f"{images} would be deleted", f"Delete {images} and {whose} files?", "Deleting", call)
    outcome = _carry_out(server, plan, total, dry_run=dry_run, yes=yes)
    if isinstance(outcome, Status):
        return outcome
    output.say(f"{outcome.changed:,} of {output.counted(outcome.total_images, 'image')} deleted")
    return Status.DONE


@dataclass(frozen=True)
class _Plan:
    """What a command is about to do: in the words of a dry run, of the question and of the progress, and as a call."""

    command: str
    announced: str
    question: str
    title: str
    call: Call


def _carry_out(server: str, plan: _Plan, total: int, *, dry_run: bool, yes: bool) -> Outcome | Status:
    """Carry the plan out; return the status instead if nothing is to be done."""
    if not total:
        return nothing_chosen(())
    if dry_run:
        output.say(plan.announced)
        return Status.DONE
    if not yes and not confirm(plan.command, plan.question):
        return Status.FAILED
    return run(_change(server, plan.title, total, plan.call, asked=not yes))


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
