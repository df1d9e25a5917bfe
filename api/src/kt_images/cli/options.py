"""The options and arguments that several commands have, each with its help."""

from typing import Annotated

import typer

READS = "Images; - reads ids from standard input."

Server = Annotated[str | None, typer.Option("--server", metavar="URL", help="Where the service is.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help=READS)]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help=READS)]
WithTag = Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="Images with this tag; repeatable.")]
WithAll = Annotated[list[str] | None, typer.Option("--all", metavar="T", help="The same: with all of these.")]
WithAny = Annotated[list[str] | None, typer.Option("--any", metavar="T", help="With one of these or more.")]
WithNone = Annotated[list[str] | None, typer.Option("--none", metavar="T", help="With none of these.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=64, metavar="N", help="How many at a time.")]
Patience = Annotated[
    float, typer.Option("--retry", min=0, metavar="SECONDS", help="How long to try again while the service is away.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Tell failures only.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
