"""All commands on one screen, in the order of the help."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kt_images.cli.commands import access, changing, reading, running
from kt_images.cli.commands.running import PROGRAM

DEFAULT_SERVER = "http://localhost:8080"
# Help is plain text: it reads the same on a terminal, in a pipe and in the documentation.
WIDTH = {"max_content_width": 100}
EPILOG = (
    "Exit statuses: 0 done, 1 some of it failed, 2 the command line is wrong, 3 the service cannot be reached, "
    "4 not found, 5 no key or one that may not do this, 130 interrupted."
)

app = typer.Typer(
    name=PROGRAM, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False, epilog=EPILOG
)


class Command(TyperCommand):
    """A command whose help names arguments without their Python types, and whose failures name its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if getattr(error, "ctx", None) is None:
                error.ctx = ctx  # type: ignore[attr-defined]  # the parser of options does not know its command
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        records = [(one.param_type_name, one.get_help_record(ctx)) for one in self.get_params(ctx)]
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            if rows := [(row[0].partition(" <")[0], row[1]) for name, row in records if row and name == kind]:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


@app.callback(invoke_without_command=True, context_settings=WIDTH)
def kt_images(
    context: typer.Context,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            metavar="URL",
            envvar="KT_IMAGES_SERVER",
            help="The address of the service; every command takes it too.",
        ),
    ] = DEFAULT_SERVER,
    version: Annotated[  # noqa: ARG001 (its callback answers)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Store images and their tags in a kt-images service, and search and download them."""
    context.obj = server
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


keys = typer.Typer(help="Make, list, rotate and revoke keys.", rich_markup_mode=None)
app.add_typer(keys, name="keys", context_settings=WIDTH)


def _command(name: str, function: Callable[..., Any], group: typer.Typer = app, **settings: Any) -> None:
    group.command(name, cls=Command, context_settings=WIDTH | settings)(function)


_command("add", changing.add)
_command("import", changing.import_)
_command("list", reading.list_, allow_extra_args=True)
_command("count", reading.count)
_command("export", reading.export)
_command("tags", reading.tags)
_command("show", reading.show)
_command("get", reading.get)
_command("tag", changing.tag, ignore_unknown_options=True)
_command("rename-tag", changing.rename_tag)
_command("rename", changing.rename)
_command("rm", changing.rm)
_command("open", reading.open_)
_command("login", access.login, allow_extra_args=True)
_command("logout", access.logout)
_command("list", access.list_, keys)
_command("create", access.create, keys)
_command("rotate", access.rotate, keys)
_command("revoke", access.revoke, keys)
_command("serve", running.serve, ignore_unknown_options=True)
_command("completion", running.completion)
