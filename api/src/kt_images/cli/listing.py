"""`list`: each image is shown as it comes."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from rich.cells import set_cell_size

from kt_images.cli import output
from kt_images.cli.client import Client
from kt_images.cli.errors import Status
from kt_images.cli.images import Image, Wanted
from kt_images.cli.names import shown

ID_WIDTH = 8
NAME_SHARE = 0.4  # of the terminal's width


@dataclass(frozen=True)
class Form:
    """How a list looks: one more image, what stands before the first and each other one, and at the end."""

    render: Callable[[Image], str]
    before: str = ""
    between: str = ""
    after: str = ""


def json_array() -> Form:
    """One JSON array; without its end unless it is complete."""
    return Form(lambda image: output.as_json(image.as_dict()), before="[", between=",\n", after="]\n")


def json_lines() -> Form:
    """An image's JSON in each line."""
    return Form(lambda image: f"{output.as_json(image.as_dict())}\n")


def ids() -> Form:
    """An id in each line."""
    return Form(lambda image: f"{image.image_id}\n")


def plain() -> Form:
    """The id, the name and the tags in each line, with tabs between them: for `cut` and `awk`."""
    return Form(lambda image: f"{image.image_id}\t{shown(image.filename)}\t{shown(', '.join(image.tags))}\n")


def table() -> Form:
    """Columns as wide as the terminal: rows are shown before the widest is known."""
    width = shutil.get_terminal_size().columns
    name_width = max(12, int(width * NAME_SHARE))
    tags_width = max(12, width - ID_WIDTH - name_width - 4)

    def row(first: str, name: str, tags: str) -> str:
        return f"{first:>{ID_WIDTH}}  {_fitted(name, name_width)}  {_fitted(tags, tags_width).rstrip()}\n"

    return Form(
        lambda image: row(str(image.image_id), image.filename, ", ".join(image.tags)),
        before=row("ID", "FILENAME", "TAGS"),
    )


def show_list(server: str, wanted: Wanted, form: Form) -> Status:
    """Write the images to standard output. Raises CliError when the list is not complete."""
    return asyncio.run(_show_list(server, wanted, form))


async def _show_list(server: str, wanted: Wanted, form: Form) -> Status:
    joint = form.before
    async with Client(server) as client, aclosing(client.images(wanted)) as batches:
        async for images in batches:
            output.write(joint + form.between.join(map(form.render, images)))
            output.flush()
            joint = form.between
        output.write((joint if joint is form.before else "") + form.after)
    return Status.DONE


def _fitted(text: str, width: int) -> str:
    text = shown(text)
    cut = set_cell_size(text, width)
    return cut if cut.startswith(text) else f"{set_cell_size(text, width - 1)}…"
