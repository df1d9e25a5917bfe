"""The commands that read images: `list`, `count`, `export`, `tags`, `show`, `get`, `open`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kt_images.cli.completing import tags_like
from kt_images.cli.errors import MisusedError, Status
from kt_images.cli.filtering import selecting
from kt_images.cli.layout import DEFAULT as DEFAULT_LAYOUT
from kt_images.cli.layout import Layout
from kt_images.cli.numbers import whole
from kt_images.cli.options import (
    Id,
    Ids,
    Jobs,
    Limit,
    Patience,
    Quiet,
    Server,
    SomeIds,
    address,
)

if TYPE_CHECKING:  # --help must not wait for the HTTP client
    from kt_images.client import Filters

STDOUT = Path("-")


@selecting
def list_(
    context: typer.Context,
    wanted: "Filters",
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    limit: Limit = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="A JSON object in each line.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header, for spreadsheets.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="An id in each line, for get, tag and rm.")] = False,
    server: Server = None,
) -> Status:
    """List images as they arrive.

    A terminal shows a table; a pipe gets the id, the name and the tags in each line, separated by tabs. An incomplete
    list ends with an error.
    """
    from kt_images.cli import listing, output

    if context.args:
        suggestion = shlex.join(word for tag in context.args for word in ("--tag", tag))
        raise MisusedError(f"list takes no arguments; to list images by their tags: kt-images list {suggestion}")
    asked = {listing.json_array: json, listing.json_lines: ndjson, listing.csv_lines: csv, listing.ids: ids}
    formats = [form for form, wanted in asked.items() if wanted]
    if len(formats) > 1:
        raise MisusedError("--json, --ndjson, --csv and --ids exclude each other: give one of them")
    usual = listing.table if output.is_terminal() else listing.plain
    if newest:
        wanted["order"] = "newest"
    if limit is not None:
        wanted["limit"] = limit
    return listing.show_list(address(context, server), wanted, (formats or [usual])[0]())


@selecting
def count(
    context: typer.Context,
    wanted: "Filters",
    json: Annotated[bool, typer.Option("--json", help="A JSON object.")] = False,
    server: Server = None,
) -> Status:
    """Count images."""
    from kt_images.cli import listing

    return listing.count(address(context, server), wanted, as_json=json)


def tags(
    context: typer.Context,
    prefix: Annotated[
        str | None, typer.Argument(metavar="PREFIX", help="Only tags that begin so.", autocompletion=tags_like)
    ] = None,
    contains: Annotated[
        str | None, typer.Option("--contains", metavar="TEXT", help="Only tags that contain this.")
    ] = None,
    by_name: Annotated[bool, typer.Option("--by-name", help="By name, not the most common first.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", parser=whole("--limit", 1), metavar="N", help="At most this many tags.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object in each line.")] = False,
    server: Server = None,
) -> Status:
    """List tags with the numbers of their images, the most common first. Case is ignored."""
    from kt_images.cli import tagging

    wanted = tagging.Wanted(prefix, contains, "name" if by_name else "images", limit)
    return tagging.list_tags(address(context, server), wanted, as_json=json)


@selecting
def export(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The file; if it ends in .csv, it is a table.")],
    wanted: "Filters",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if there is one.")] = False,
    server: Server = None,
) -> Status:
    """Write images with their tags, but not their files, as import reads them.

    FILE is there once it is complete.
    """
    from kt_images.cli import exporting

    is_table = target.suffix.lower() == ".csv"
    return exporting.export(address(context, server), wanted, target, as_table=is_table, overwrite=overwrite)


def show(
    context: typer.Context,
    ids: Ids,
    json: Annotated[bool, typer.Option("--json", help="A JSON object in each line.")] = False,
    server: Server = None,
) -> Status:
    """Show images with their names, tags and files."""
    from kt_images.cli import showing
    from kt_images.cli.choosing import nothing_chosen
    from kt_images.cli.ids import image_ids

    found = image_ids(ids)
    return showing.show(address(context, server), found, json) if found else nothing_chosen(ids)


@selecting
def get(
    context: typer.Context,
    wanted: "Filters",
    ids: SomeIds = None,
    folder: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder for the files; - writes one file to standard output."
        ),
    ] = Path(),
    layout: Annotated[
        str,
        typer.Option("--layout", metavar="PATTERN", help="Their paths: {id} {filename} {stem} {ext} {sha256} {tag}."),
    ] = DEFAULT_LAYOUT,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace local files that differ.")] = False,
    jobs: Jobs = 4,
    retry: Patience = 30,
    quiet: Quiet = False,
    server: Server = None,
) -> Status:
    """Download the files of images.

    Each file is verified by its SHA-256. Files that are there already are not downloaded again, interrupted downloads
    are resumed, and no other file is overwritten unless --overwrite is given.
    """
    from kt_images.cli import getting
    from kt_images.cli.choosing import chosen, nothing_chosen

    options = getting.Options(
        folder=folder, layout=Layout(layout), overwrite=overwrite, jobs=jobs, quiet=quiet, patience=retry
    )
    service = address(context, server)
    found = chosen("get", service, ids or [], wanted)
    if folder == STDOUT:
        return getting.write(service, found, retry)
    return getting.get(service, found, options) if found else nothing_chosen(ids or [])


def open_(
    context: typer.Context,
    image_id: Id,
    print_: Annotated[bool, typer.Option("--print", help="Only write the address to standard output.")] = False,
    server: Server = None,
) -> Status:
    """Open an image in the browser."""
    from kt_images.cli import ids, showing

    return showing.open_in_browser(address(context, server), ids.image_id(image_id), print_)
