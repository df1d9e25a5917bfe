"""`tag` and `rm` with filters, and `rename-tag`: all images that match are changed by one call."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from kt_images.cli import output
from kt_images.cli.choosing import confirm, nothing_chosen
from kt_images.cli.errors import CliError, Status
from kt_images.cli.names import shown
from kt_images.cli.progress import display
from kt_images.cli.service import service
from kt_images.cli.tags import changes
from kt_images.cli.work import run
from kt_images.client import Client, Filters, Many, Outcome, RefusedError
from kt_images.client.bulk import Done, nobody

# Makes the change, with these guards, telling its progress.
Call = Callable[[Client, Many, Done], Awaitable[Outcome]]


@dataclass(frozen=True)
class _Plan:
    """What a command is about to do, in the words of its question, dry run, progress and end, and the call.

    The question and the dry run speak of a text such as `2 images`.
    """

    command: str
    question: Callable[[str], str]
    announced: Callable[[str], str]
    title: str
    done: Callable[[Outcome], str]
    call: Call


def tag(
    server: str, filters: Filters, add: Sequence[str], remove: Sequence[str], *, dry_run: bool, yes: bool
) -> Status:
    """Add and remove tags of all images that match, after confirmation. Raises CliError."""
    what = changes(add, remove)

    async def call(client: Client, guards: Many, done: Done) -> Outcome:
        which: Many = {**filters, **guards}
        return await client.change_many(add_tags=add, remove_tags=remove, done=done, **which)

    plan = _Plan(
        "tag",
        lambda images: f"Tag {images} {what}?",
        lambda images: f"{images} would be tagged {what}",
        "Tagging",
        _changed,
        call,
    )
    return _carry_out(server, plan, dry_run=dry_run, yes=yes)


def delete(server: str, filters: Filters, *, dry_run: bool, yes: bool) -> Status:
    """Delete all images that match and their files, after confirmation. Raises CliError."""

    async def call(client: Client, guards: Many, done: Done) -> Outcome:
        which: Many = {**filters, **guards}
        return await client.delete_many(done=done, **which)

    plan = _Plan(
        "rm",
        lambda images: f"Delete {images} and {'its' if images == '1 image' else 'their'} files?",
        lambda images: f"{images} would be deleted",
        "Deleting",
        lambda outcome: f"{outcome.changed:,} of {output.counted(outcome.total_images, 'image')} deleted",
        call,
    )
    return _carry_out(server, plan, dry_run=dry_run, yes=yes)


def rename(server: str, old: str, new: str, *, merge: bool, dry_run: bool, yes: bool) -> Status:
    """Rename a tag on all images that have it, after confirmation. Raises CliError."""

    async def call(client: Client, guards: Many, done: Done) -> Outcome:
        dry, expected = guards.get("dry_run", False), guards.get("expected")
        try:
            return await client.rename_tag(old, new, merge=merge, dry_run=dry, expected=expected, done=done)
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT or not dry:
                raise
            raise CliError(f"Images have the tag {shown(new)} already; --merge makes the two one") from error

    plan = _Plan(
        "rename-tag",
        lambda images: f"Rename {shown(old)} to {shown(new)} on {images}?",
        lambda images: f"{shown(old)} would be renamed to {shown(new)} on {images}",
        "Renaming",
        _changed,
        call,
    )
    return _carry_out(server, plan, dry_run=dry_run, yes=yes)


def _changed(outcome: Outcome) -> str:
    return f"{outcome.changed:,} of {outcome.total_images:,} changed"


def _carry_out(server: str, plan: _Plan, *, dry_run: bool, yes: bool) -> Status:
    """Carry the plan out, after confirmation; if the user was asked, only for as many images as the question said."""
    total = run(_preview(server, plan))
    if not total:
        return nothing_chosen(())
    images = output.counted(total, "image")
    if dry_run:
        output.say(plan.announced(images))
        return Status.DONE
    if not yes and not confirm(plan.command, plan.question(images)):
        return Status.FAILED
    outcome = run(_change(server, plan, total, {} if yes else {"expected": total}))
    for failure in outcome.failures:
        output.say(f"Image <{failure.image_id}>: {failure.error}")
    output.say(plan.done(outcome))
    return Status.FAILED if outcome.failed else Status.DONE


async def _preview(server: str, plan: _Plan) -> int:
    """Ask for how many images it would be, by the same call as the change, so that the service refuses both or none."""
    async with service(server) as client:
        return (await plan.call(client, {"dry_run": True}, nobody)).total_images


async def _change(server: str, plan: _Plan, total: int, guards: Many) -> Outcome:
    told = 0
    async with service(server) as client:  # a connection may have been closed while the user thought
        with display(plan.title, total) as moving:

            def done(now: int, _: int) -> None:
                nonlocal told
                moving.finished(now - told)
                told = now

            return await plan.call(client, guards, done)
