"""The commands that change images: `add`, `import`, `tag`, `rename-tag`, `rename`, `rm`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kt_images.cli.completing import changes_like, tags_like
from kt_images.cli.errors import MisusedError, Status
from kt_images.cli.filtering import selecting
from kt_images.cli.numbers import whole
from kt_images.cli.options import (
    DryRun,
    Id,
    Jobs,
    Patience,
    Quiet,
    Server,
    SomeIds,
    Yes,
    address,
)

if TYPE_CHECKING:  # --help must not wait for the HTTP client
    from kt_images.client import Filters


def add(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR", help="Pictures, and folders of pictures.")],
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="T", help="A tag for all of them; repeatable.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Add the pictures in folders and their subfolders.")
    ] = False,
    tags_from_path: Annotated[
        bool,
        typer.Option("--tags-from-path", help="Also use the folders below DIR, or those written in FILE, as tags."),
    ] = False,
    delete_after: Annotated[
        bool, typer.Option("--delete-after", help="Delete each local file once the service confirms its SHA-256.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if files in folders are skipped.")
    ] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Write the ids of the images to standard output.")] = False,
    jobs: Jobs = 16,
    retry: Patience = 30,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    server: Server = None,
) -> Status:
    """Store files with their tags.

    Files whose bytes the service holds already, by SHA-256, are not sent again; their images only get the tags that
    they lack. To resume an interrupted run, run it again.
    """
    from kt_images.cli import adding, sources

    files, skipped = sources.find(paths, recursive, tag or [], tags_from_path)
    if dry_run:
        return adding.dry_run(files, skipped, strict)
    options = adding.Options(jobs=jobs, delete_after=delete_after, strict=strict, ids=ids, quiet=quiet, patience=retry)
    return adding.add(address(context, server), files, skipped, options)


def import_(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A line of JSON for each image, or a .csv table; - reads standard input."),
    ],
    table: Annotated[bool, typer.Option("--csv", help="It is a table, whatever its name.")] = False,
    skip: Annotated[
        int, typer.Option("--skip", parser=whole("--skip", 0), metavar="N", help="Leave out the first lines.")
    ] = 0,
    retry: Patience = 30,
    server: Server = None,
) -> Status:
    """Store images without files, as `list --ndjson` and `list --csv` write them; each gets a new id.

    A table begins with a line of column names: filename, and tags, separated by commas; a tag with a comma is quoted.
    An import that was interrupted says how to go on.
    """
    from kt_images.cli import importing

    is_table = table or source.suffix.lower() == ".csv"
    options = importing.Options(source=source, is_table=is_table, skip=skip, patience=retry)
    return importing.import_(address(context, server), options)


def rename_tag(
    context: typer.Context,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The tag that there is.", autocompletion=tags_like)],
    to: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.", autocompletion=tags_like)],
    merge: Annotated[bool, typer.Option("--merge", help="NEW may be a tag already: the two become one.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    server: Server = None,
) -> Status:
    """Rename a tag on all images that have it, after confirmation."""
    from kt_images.cli import matching

    return matching.rename(address(context, server), tag, to, merge=merge, dry_run=dry_run, yes=yes)


@selecting
def tag(
    context: typer.Context,
    wanted: "Filters",
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID|+TAG|-TAG", help="Images, tags to add, and tags to remove.", autocompletion=changes_like
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="T", help="The same as +T.", autocompletion=tags_like),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="T", help="The same as -T.", autocompletion=tags_like),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    jobs: Jobs = 4,
    server: Server = None,
) -> Status:
    """Add tags to images and remove tags from them.

    The images are named by their ids (- reads ids from standard input), or they are all that match the filters; then
    it asks for confirmation first.
    """
    from kt_images.cli import changing, matching, output, tags
    from kt_images.cli.choosing import nothing_chosen, only_filters
    from kt_images.cli.ids import image_ids

    if unknown := [word for word in words or () if word.startswith("--")]:
        raise MisusedError(f"There is no option {unknown[0]}; to remove a tag that begins with -, use --remove")
    named, adding, removing = tags.split(words or [])
    adding, removing = [*adding, *(add or [])], [*removing, *(remove or [])]
    if not adding and not removing:
        raise MisusedError("Which tags? +TAG adds one, -TAG removes one")
    service = address(context, server)
    if only_filters("tag", named, wanted):
        return matching.tag(service, wanted, adding, removing, dry_run=dry_run, yes=yes)
    ids = image_ids(named)
    if not ids:
        return nothing_chosen(named)
    if dry_run:
        output.say(f"{output.counted(len(ids), 'image')} would be tagged {tags.changes(adding, removing)}")
        return Status.DONE
    return changing.change_tags(service, ids, adding, removing, jobs)


def rename(
    context: typer.Context,
    image_id: Id,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name of the image.")],
    server: Server = None,
) -> Status:
    """Give an image another name. Its files keep theirs."""
    from kt_images.cli import changing, ids

    return changing.rename(address(context, server), ids.image_id(image_id), name)


@selecting
def rm(
    context: typer.Context,
    wanted: "Filters",
    ids: SomeIds = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    jobs: Jobs = 4,
    server: Server = None,
) -> Status:
    """Delete images and their files, after confirmation.

    The images are named by their ids (- reads ids from standard input), or they are all that match the filters.
    """
    from kt_images.cli import changing, matching, output
    from kt_images.cli.choosing import confirm, nothing_chosen, only_filters
    from kt_images.cli.ids import image_ids

    if only_filters("rm", ids or [], wanted):
        return matching.delete(address(context, server), wanted, dry_run=dry_run, yes=yes)
    found = image_ids(ids or [])
    if not found:
        return nothing_chosen(ids or [])
    images = output.counted(len(found), "image")
    if dry_run:
        output.say(f"{images} would be deleted")
        return Status.DONE
    if not yes and not confirm("rm", f"Delete {images} and {'its' if len(found) == 1 else 'their'} files?"):
        return Status.FAILED
    return changing.delete(address(context, server), found, jobs)
