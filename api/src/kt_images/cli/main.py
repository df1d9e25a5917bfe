"""The entry point: whatever goes wrong becomes one sentence and an exit status."""

import os
import signal
import sys
from typing import NoReturn

from kt_images.cli import output
from kt_images.cli.errors import CliError, ClosedOutputError, Status

TRACEBACK = "KT_IMAGES_TRACEBACK"


def main() -> NoReturn:
    """Run the command line and exit with its status; never with a traceback, unless KT_IMAGES_TRACEBACK is set."""
    output.prepare()
    try:
        status = _run()
        output.flush()
    except ClosedOutputError:
        status = Status.DONE  # who reads has had enough
    except CliError as error:
        output.say(str(error))
        status = error.status
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except Exception as error:
        if TRACEBACK in os.environ:
            raise
        output.say(f"kt-images failed: {type(error).__name__}: {error}; with {TRACEBACK}=1 it tells where")
        status = Status.FAILED
    output.forget()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter's own end would answer it with a traceback
    sys.exit(status)


def _run() -> int:
    try:
        # The libraries are an extra, and importing them is what Ctrl-C may come into.
        from typer import Abort, TyperException  # noqa: PLC0415

        from kt_images.cli.app import PROGRAM, app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CliError(f"{error.name} is not installed; the client needs: pip install 'kt-images[cli]'") from None
    try:
        return app(prog_name=PROGRAM, standalone_mode=False) or Status.DONE
    except TyperException as error:
        output.say(f"{error.format_message()} ({_help(error)} tells more)")
        return error.exit_code
    except Abort:
        return Status.INTERRUPTED


def _help(error: object) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'kt-images'} --help"


if __name__ == "__main__":
    main()
