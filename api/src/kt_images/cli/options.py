"""The options and arguments that several commands have, with their help."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kt_images.cli.numbers import seconds, whole

if TYPE_CHECKING:  # --help must not wait for the HTTP client
    from kt_images.client import Filters

READS = "Ids of images; - reads them from standard input."

Server = Annotated[str | None, typer.Option("--server", metavar="URL", help="The address of the service.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of an image.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help=READS)]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help=READS)]
WithTag = Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="Only images with this tag; repeatable.")]
WithAll = Annotated[
    list[str] | None, typer.Option("--all", metavar="T", help="The same as --tag: with all of these tags.")
]
WithAny = Annotated[
    list[str] | None, typer.Option("--any", metavar="T", help="Only images with at least one of these tags.")
]
WithNone = Annotated[list[str] | None, typer.Option("--none", metavar="T", help="Only images with none of these tags.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", parser=whole("--limit", 1), metavar="N", help="At most this many images."),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", parser=whole("--jobs", 1, 64), metavar="N", help="How many to process at a time, up to 64."),
]
Patience = Annotated[
    float,
    typer.Option(
        "--retry",
        parser=seconds("--retry"),
        metavar="SECONDS",
        help="How long to retry while the service is unavailable.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show failures only.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done without doing it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def address(context: typer.Context, server: str | None) -> str:
    """Return the address of the service: the command's own, or that of `kt-images --server`."""
    return server or str(context.obj)


def filters(
    tag: Sequence[str] | None,
    tags_all: Sequence[str] | None,
    tags_any: Sequence[str] | None,
    tags_none: Sequence[str] | None,
    limit: int | None = None,
) -> "Filters":
    """Return the filters that were given."""
    given: Filters = {}
    if tag:
        given["tag"] = tag
    if tags_all:
        given["tags_all"] = tags_all
    if tags_any:
        given["tags_any"] = tags_any
    if tags_none:
        given["tags_none"] = tags_none
    if limit is not None:
        given["limit"] = limit
    return given
