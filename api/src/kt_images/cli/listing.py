"""`list`: images are written as they arrive."""

import csv
import gc
import shutil
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from rich.cells import set_cell_size

from kt_images.cli import output
from kt_images.cli.errors import Status
from kt_images.cli.names import shown
from kt_images.cli.service import service
from kt_images.cli.tags import joined
from kt_images.cli.work import run
from kt_images.client import Filters, Image

ID_WIDTH = 8
NAME_SHARE = 0.4  # of the terminal's width
# Objects between two searches for garbage, which take a sixth of a long list's time by default and find nothing in it.
RARELY = 100_000


@dataclass(frozen=True)
class Format:
    """How a list is written: some images at a time, and the text before the first, between two, and after the last."""

    render: Callable[[list[Image]], str]
    before: str = ""
    between: str = ""
    after: str = ""


def json_array() -> Format:
    """One JSON array, which is closed only if it is complete."""
    between = ",\n"
    return Format(lambda images: output.as_json(images)[:-1].replace("\n", between), "[", between, "]\n")


def json_lines() -> Format:
    """An image's JSON in each line."""
    return Format(output.as_json)


def csv_lines(text: Callable[[str], str] = shown) -> Format:
    """Comma-separated values (RFC 4180) with a header; the tags are one column, as `tags.joined` writes them.

    What a terminal might obey is escaped, unless `text` is `str`: then the file can be read back exactly.
    """
    row = csv.writer(_Returning()).writerow
    return _each(
        lambda image: row((image.image_id, text(image.filename), text(joined(image.tags)))),
        before=row(("image_id", "filename", "tags")),
    )


def ids() -> Format:
    """An id in each line."""
    return _each(lambda image: f"{image.image_id}\n")


def plain() -> Format:
    """The id, the name and the tags in each line, separated by tabs: for `cut` and `awk`."""
    return _each(lambda image: f"{image.image_id}\t{shown(image.filename)}\t{shown(', '.join(image.tags))}\n")


def table() -> Format:
    """Columns as wide as the terminal: rows are written before the widest is known."""
    width = shutil.get_terminal_size().columns
    name_width = max(12, int(width * NAME_SHARE))
    tags_width = max(12, width - ID_WIDTH - name_width - 4)

    def row(first: str, name: str, tags: str) -> str:
        return f"{first:>{ID_WIDTH}}  {_fitted(name, name_width)}  {_fitted(tags, tags_width).rstrip()}\n"

    return _each(
        lambda image: row(str(image.image_id), image.filename, ", ".join(image.tags)),
        before=row("ID", "FILENAME", "TAGS"),
    )


def show_list(server: str, filters: Filters, form: Format) -> Status:
    """Write the images to standard output. Raises CliError if the list is incomplete."""
    gc.set_threshold(RARELY)
    return run(_show_list(server, filters, form))


def count(server: str, filters: Filters, *, as_json: bool) -> Status:
    """Write the number of images to standard output. Raises CliError."""
    number = run(_count(server, filters))
    output.write(output.as_json([{"totalImages": number}]) if as_json else f"{number}\n")
    return Status.DONE


async def _show_list(server: str, filters: Filters, form: Format) -> Status:
    joint, found = form.before, False
    async with service(server) as client, aclosing(client.batches(**filters)) as batches:
        async for images in batches:
            output.write(joint + form.render(images))
            output.flush()
            joint, found = form.between, True
        output.write(("" if found else joint) + form.after)
    if not found and output.is_terminal():
        output.flush()
        output.say("No image matches" if filters else "No images are stored yet; kt-images add stores some")
    return Status.DONE


async def _count(server: str, filters: Filters) -> int:
    async with service(server) as client:
        return await client.count(**filters)


class _Returning:
    """A file whose `write` returns the text: `writerow` returns that."""

    def write(self, text: str) -> str:
        return text


def _each(row: Callable[[Image], str], before: str = "") -> Format:
    return Format(lambda images: "".join(map(row, images)), before)


def _fitted(text: str, width: int) -> str:
    text = shown(text)
    cut = set_cell_size(text, width)
    return cut if cut.startswith(text) else f"{set_cell_size(text, width - 1)}…"
