"""The entry point: every failure becomes one sentence and an exit status."""

import os
import signal
import sys
from typing import NoReturn

from kt_images.cli import output
from kt_images.cli.errors import CliError, ClosedOutputError, Status

TRACEBACK = "KT_IMAGES_TRACEBACK"


def main() -> NoReturn:
    """Run the command line and exit with its status; without a traceback, unless KT_IMAGES_TRACEBACK is set."""
    output.prepare()
    try:
        status = _run()
        output.flush()
    except ClosedOutputError:
        status = Status.DONE  # the reader has seen enough
    except CliError as error:
        output.say(str(error))
        status = error.status
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except Exception as error:
        if TRACEBACK in os.environ:
            raise
        output.say(f"kt-images failed: {type(error).__name__}: {error}; {TRACEBACK}=1 shows where")
        status = Status.FAILED
    output.discard()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # while it exits, the interpreter would answer it with a traceback
    sys.exit(status)


def _run() -> int:
    try:
        # Not above: the libraries are an extra that may be missing, and Ctrl-C may come while they are imported.
        from typer import Abort, TyperException  # noqa: PLC0415
        from typer.completion import completion_init  # type: ignore[attr-defined]  # noqa: PLC0415

        from kt_images.cli.app import app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        install = "pipx install './api[cli]'"
        raise CliError(f"{error.name} is not installed; in a checkout of kt-images: {install}") from None
    completion_init()
    try:
        return app(prog_name=app.info.name, standalone_mode=False) or Status.DONE
    except TyperException as error:
        output.say(f"{error.format_message().rstrip('.')} (see {_help(error)})")
        return error.exit_code
    except Abort:
        return Status.INTERRUPTED


def _help(error: object) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'kt-images'} --help"


if __name__ == "__main__":
    main()
