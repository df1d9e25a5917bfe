"""`export`: images as a file, which is there once it is complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TextIO

from kt_images.cli import output
from kt_images.cli.errors import CliError, MisusedError, Status
from kt_images.cli.listing import Format, csv_lines, json_lines
from kt_images.cli.service import service
from kt_images.cli.work import run
from kt_images.client import Filters


def export(server: str, filters: Filters, target: Path, *, as_table: bool, overwrite: bool) -> Status:
    """Write the images that match to the file, as `import` reads them. Raises CliError."""
    if os.path.lexists(target) and not overwrite:
        raise MisusedError(f"{target} exists already; --overwrite replaces it")
    form = csv_lines(str) if as_table else json_lines()
    try:
        with _file(target, overwrite) as file:
            number = run(_export(server, filters, form, file))
    except OSError as error:
        raise CliError(f"{target} cannot be written: {error.strerror}") from error
    output.say(f"{output.counted(number, 'image')} exported")
    return Status.DONE


async def _export(server: str, filters: Filters, form: Format, file: TextIO) -> int:
    number = 0
    file.write(form.before)
    async with service(server) as client, aclosing(client.batches(**filters)) as batches:
        async for images in batches:
            file.write(form.render(images))
            number += len(images)
    return number


@contextmanager
def _file(target: Path, overwrite: bool) -> Iterator[TextIO]:
    """Give a hidden file beside the target, which becomes the target once the block ends without an error."""
    part = target.with_name(f".kt-images-{secrets.token_hex(8)}.part")
    try:
        with part.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not overwrite and os.path.lexists(target):
            raise MisusedError(f"{target} exists by now; --overwrite replaces it")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
