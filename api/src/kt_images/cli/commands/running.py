"""The commands around the program itself: `serve`, `completion`."""

import os
import sys
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated

import typer

from kt_images.cli import output
from kt_images.cli.errors import CliError, Status

PROGRAM = "kt-images"
COMPLETION_VARIABLE = "_KT_IMAGES_COMPLETE"


class Shell(StrEnum):
    """The shells that have completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


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
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish|powershell", help="The shell to complete in.")],
) -> Status:
    """Write a script that completes commands and options in a shell.

    For bash: eval "$(kt-images completion bash)"
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    output.write(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE, shell=shell))
    return Status.DONE
