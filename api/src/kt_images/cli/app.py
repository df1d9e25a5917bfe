"""The commands, their options and their help. What they do is in the modules that they import when they run."""

import os
import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from kt_images.cli.errors import CliError, MisusedError, Status
from kt_images.cli.layout import DEFAULT as DEFAULT_LAYOUT
from kt_images.cli.layout import Layout
from kt_images.cli.options import (
    DryRun,
    Ids,
    Jobs,
    Patience,
    Quiet,
    Server,
    SomeIds,
    WithAll,
    WithAny,
    WithNone,
    WithTag,
    Yes,
)

PROGRAM = "kt-images"
DEFAULT_SERVER = "http://localhost:8080"
COMPLETION_VARIABLE = "_KT_IMAGES_COMPLETE"

EPILOG = (
    "Exit statuses: 0 done, 1 some of it failed, 2 the command line is wrong, 3 the service cannot be reached, "
    "4 not found, 130 interrupted."
)

app = typer.Typer(name=PROGRAM, pretty_exceptions_enable=False, rich_markup_mode="rich", epilog=EPILOG)


class Shell(StrEnum):
    """The shells that have completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def kt_images(
    context: typer.Context,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            metavar="URL",
            envvar="KT_IMAGES_SERVER",
            help="Where the service is; every command takes it as well.",
        ),
    ] = DEFAULT_SERVER,
    version: Annotated[  # noqa: ARG001 (its callback answers)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    """Images and their tags, kept by a kt-images service."""
    context.obj = server
    if context.invoked_subcommand is None:
        context.get_help()


@app.command()
def add(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR", help="Pictures, and folders of pictures.")],
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="T", help="A tag for all of them; repeatable.")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="Add the pictures in folders, and in theirs.")] = False,
    tags_from_path: Annotated[
        bool, typer.Option("--tags-from-path", help="The folders below DIR, or written before FILE, are tags too.")
    ] = False,
    delete_after: Annotated[
        bool, typer.Option("--delete-after", help="Delete each local file once the service confirms its SHA-256.")
    ] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Write the images' ids to standard output.")] = False,
    jobs: Jobs = 4,
    retry: Patience = 30,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    server: Server = None,
) -> None:
    """Store files with their tags.

    What the service holds already, by SHA-256, is not stored twice and only gets the tags that it lacks: an interrupted
    run is resumed by running it again.
    """
    from kt_images.cli import adding, sources

    files = sources.find(paths, recursive, tag or [], tags_from_path)
    if dry_run:
        _exit(adding.dry_run(files))
    options = adding.Options(jobs=jobs, delete_after=delete_after, ids=ids, quiet=quiet, patience=retry)
    _exit(adding.add(_address(context, server), files, options))


@app.command("list")
def list_(
    context: typer.Context,
    tag: WithTag = None,
    tags_all: WithAll = None,
    tags_any: WithAny = None,
    tags_none: WithNone = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="A JSON object in each line.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="An id in each line: for get, tag and rm.")] = False,
    server: Server = None,
) -> None:
    """List images, each as it comes.

    On a terminal it is a table; in a pipe it is the id, the name and the tags in each line, with tabs between them. A
    list that breaks off ends with an error.
    """
    from kt_images.cli import listing, output
    from kt_images.cli.images import Wanted

    asked = {listing.json_array: json, listing.json_lines: ndjson, listing.ids: ids}
    forms = [form for form, wanted in asked.items() if wanted]
    if len(forms) > 1:
        raise MisusedError("--json, --ndjson and --ids exclude each other")
    usual = listing.table if output.is_terminal() else listing.plain
    wanted = Wanted(tag or [], tags_all or [], tags_any or [], tags_none or [], limit)
    _exit(listing.show_list(_address(context, server), wanted, (forms or [usual])[0]()))


@app.command()
def show(
    context: typer.Context,
    ids: Ids,
    json: Annotated[bool, typer.Option("--json", help="A JSON object in each line.")] = False,
    server: Server = None,
) -> None:
    """Show an image: its name, tags and files."""
    from kt_images.cli import showing
    from kt_images.cli.ids import image_ids

    _exit(showing.show(_address(context, server), image_ids(ids), json))


@app.command()
def get(
    context: typer.Context,
    ids: SomeIds = None,
    tag: WithTag = None,
    tags_all: WithAll = None,
    tags_any: WithAny = None,
    tags_none: WithNone = None,
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to store them in.")
    ] = Path(),
    layout: Annotated[
        str,
        typer.Option("--layout", metavar="PATTERN", help="Their paths: {id} {filename} {stem} {ext} {sha256} {tag}."),
    ] = DEFAULT_LAYOUT,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace local files that are different.")] = False,
    jobs: Jobs = 4,
    retry: Patience = 30,
    quiet: Quiet = False,
    server: Server = None,
) -> None:
    """Download images' files.

    Each is verified by its SHA-256. What is there already is not downloaded again, what was interrupted goes on where
    it stopped, and nothing is overwritten unasked.
    """
    from kt_images.cli import getting
    from kt_images.cli.choosing import chosen
    from kt_images.cli.images import Wanted

    options = getting.Options(
        folder=folder, layout=Layout(layout), overwrite=overwrite, jobs=jobs, quiet=quiet, patience=retry
    )
    address = _address(context, server)
    wanted = Wanted(tag or [], tags_all or [], tags_any or [], tags_none or [])
    _exit(getting.get(address, chosen(address, ids or [], wanted), options))


@app.command(context_settings={"ignore_unknown_options": True})
def tag(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID|+TAG|-TAG", help="Images, tags to add and tags to take away."),
    ] = None,
    with_tag: WithTag = None,
    tags_all: WithAll = None,
    tags_any: WithAny = None,
    tags_none: WithNone = None,
    add: Annotated[list[str] | None, typer.Option("--add", metavar="T", help="The same as +T.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="T", help="The same as -T.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    jobs: Jobs = 4,
    server: Server = None,
) -> None:
    """Add tags and take tags away.

    Of images named by their ids, where - reads ids from standard input, or of every image that matches, after asking.
    """
    from kt_images.cli import changing, output
    from kt_images.cli.choosing import chosen, confirm
    from kt_images.cli.images import Wanted

    given = words or []
    if unknown := [word for word in given if word.startswith("--")]:
        raise MisusedError(f"No such option: {unknown[0]}")
    adding = [*(word[1:] for word in given if word.startswith("+")), *(add or [])]
    removing = [*(word[1:] for word in given if word.startswith("-") and word != "-"), *(remove or [])]
    if not adding and not removing:
        raise MisusedError("Which tags? +TAG adds one, -TAG takes one away")
    named = [word for word in given if word == "-" or word[0:1] not in {"+", "-"}]
    address = _address(context, server)
    wanted = Wanted(with_tag or [], tags_all or [], tags_any or [], tags_none or [])
    ids = chosen(address, named, wanted)
    what = " ".join([*(f"+{one}" for one in adding), *(f"-{one}" for one in removing)])
    if dry_run:
        output.say(f"{output.counted(len(ids), 'image')} would be tagged {what}")
        _exit(Status.DONE)
    if ids and not named and not yes and not confirm(f"Tag {output.counted(len(ids), 'image')} {what}?"):
        _exit(Status.FAILED)
    _exit(changing.change_tags(address, ids, adding, removing, jobs))


@app.command()
def rm(
    context: typer.Context,
    ids: Ids,
    dry_run: DryRun = False,
    yes: Yes = False,
    jobs: Jobs = 4,
    server: Server = None,
) -> None:
    """Delete images and their files, after asking."""
    from kt_images.cli import changing, output
    from kt_images.cli.choosing import confirm
    from kt_images.cli.ids import image_ids

    found = image_ids(ids)
    if dry_run:
        output.say(f"{output.counted(len(found), 'image')} would be deleted")
        _exit(Status.DONE)
    if found and not yes and not confirm(f"Delete {output.counted(len(found), 'image')} and all files of theirs?"):
        _exit(Status.FAILED)
    _exit(changing.delete(_address(context, server), found, jobs))


@app.command("open")
def open_(
    context: typer.Context,
    image_id: Annotated[str, typer.Argument(metavar="ID", help="An image.")],
    print_: Annotated[bool, typer.Option("--print", help="Only write the address to standard output.")] = False,
    server: Server = None,
) -> None:
    """Show an image in the browser."""
    from kt_images.cli import ids, showing

    _exit(showing.open_in_browser(_address(context, server), ids.image_id(image_id), print_))


@app.command(context_settings={"ignore_unknown_options": True})
def serve(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="SETTING", help="As of python -m kt_images: -- --help lists them."),
    ] = None,
) -> None:
    """Run the service: the same as python -m kt_images."""
    if find_spec("aiohttp_pydantic") is None:
        raise CliError("The service is not installed; it needs: pip install 'kt-images[server]'")
    os.execv(sys.executable, [sys.executable, "-m", "kt_images", *(arguments or [])])  # noqa: S606 (no shell is wanted)


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="Whose completion.")]) -> None:
    """Write the script that completes commands and options in a shell.

    In bash: eval "$(kt-images completion bash)"
    """
    os.environ[COMPLETION_VARIABLE] = f"source_{shell}"
    app(prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE)


def _address(context: typer.Context, server: str | None) -> str:
    return server or str(context.obj)


def _exit(status: Status) -> NoReturn:
    raise typer.Exit(status)
