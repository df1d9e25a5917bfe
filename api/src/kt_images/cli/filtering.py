"""The options that select images by filters, each declared once for all commands that take them."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from kt_images.cli.completing import tags_like
from kt_images.cli.numbers import whole

LARGEST_ID = 2**63 - 1


def _tags(option: str, help_: str) -> Any:
    return Annotated[list[str] | None, typer.Option(option, metavar="T", help=help_, autocompletion=tags_like)]


def _id(option: str, help_: str) -> Any:
    parser = whole(option, 1, LARGEST_ID)
    return Annotated[int | None, typer.Option(option, parser=parser, metavar="ID", help=help_)]


# By the names that the filters have in the client. No command may have another parameter of such a name.
FILTERS: dict[str, Any] = {
    "tag": _tags("--tag", "Only images with this tag; repeatable."),
    "tags_all": _tags("--all", "The same as --tag: with all of these tags."),
    "tags_any": _tags("--any", "Only images with at least one of these tags."),
    "tags_none": _tags("--none", "Only images with none of these tags."),
    "untagged": Annotated[bool | None, typer.Option("--untagged", help="Only images without any tag.")],
    "after": _id("--after", "Only images with a greater id."),
    "before": _id("--before", "Only images with a smaller id."),
}


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command these options in the place of its parameter `wanted`, which gets the filters that are given."""

    @wraps(command)
    def filtered(**options: Any) -> Any:
        given = {name: options.pop(name) for name in FILTERS}
        return command(wanted={name: value for name, value in given.items() if value}, **options)

    own = inspect.signature(command).parameters.values()
    parameters = [one for parameter in own for one in (_PARAMETERS if parameter.name == "wanted" else [parameter])]
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    # What typer reads.
    filtered.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    filtered.__annotations__ = {parameter.name: parameter.annotation for parameter in keywords}
    return filtered


_PARAMETERS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)
    for name, annotation in FILTERS.items()
]
