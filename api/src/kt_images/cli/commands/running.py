"""The commands around the program itself: `serve`, `completion`."""

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from kt_images.cli import completing, output
from kt_images.cli.errors import CliError, MisusedError, Status

PROGRAM = "kt-images"
SHELLS = ("bash", "zsh", "fish", "powershell")


def serve(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="SETTING", help="The settings of python -m kt_images; -- --help lists them."),
    ] = None,
) -> None:
    """Run the service, as python -m kt_images does."""
    if find_spec("aiohttp_pydantic") is None:
        install = "pipx install --force './api[cli,server,embedded]'"
        raise CliError(f"The service is not installed; in a checkout of kt-images: {install}")
    os.execv(sys.executable, [sys.executable, "-m", "kt_images", *(arguments or [])])  # noqa: S606 (no shell is wanted)


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="|".join(SHELLS),
            help="The shell to complete in.",
            autocompletion=lambda incomplete: [shell for shell in SHELLS if shell.startswith(incomplete)],
        ),
    ],
) -> Status:
    """Write a script that completes commands, options and tags in a shell.

    For bash: eval "$(kt-images completion bash)"
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    if shell not in SHELLS:
        raise MisusedError(f"There is no completion for {shell[:40]!r}, only for {', '.join(SHELLS)}")
    output.write(get_completion_script(prog_name=PROGRAM, complete_var=completing.VARIABLE, shell=shell))
    return Status.DONE
