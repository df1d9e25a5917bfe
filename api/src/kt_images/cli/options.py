"""The options and arguments that several commands have, with their help."""

from typing import Annotated

import typer

from kt_images.cli.numbers import seconds, whole

READS = "Ids of images; - reads them from standard input."

Server = Annotated[str | None, typer.Option("--server", metavar="URL", help="The address of the service.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of an image.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help=READS)]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help=READS)]
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
