"""`show` and `open`: one image, as text or in the browser."""

import webbrowser
from array import array

from msgspec.structs import asdict

from kt_images.cli import output
from kt_images.cli.errors import CliError, Status
from kt_images.cli.names import shown
from kt_images.cli.service import service
from kt_images.cli.work import Tally, each, run
from kt_images.client import Attachment, Image, NotFoundError


def show(server: str, ids: "array[int]", as_json: bool) -> Status:
    """Write each image with its attachments to standard output. Raises FatalError."""
    return run(_show(server, ids, as_json))


def open_in_browser(server: str, image_id: int, print_only: bool) -> Status:
    """Open the image's first file in the browser, or only write its address to standard output.

    Raises CliError if there is no such file or no browser.
    """
    address = run(_address(server, image_id))
    if print_only:
        output.write(f"{address}\n")
    elif not webbrowser.open(address):
        raise CliError(f"No browser was found; open {address}")
    return Status.DONE


async def _show(server: str, ids: "array[int]", as_json: bool) -> Status:
    tally = Tally()
    async with service(server) as client:

        async def one(image_id: int) -> None:
            image = await client.image(image_id)
            try:
                attachments = await client.attachments(image_id)
            except NotFoundError:
                attachments = []  # deleted in the meantime
            output.write(_json(image, attachments) if as_json else _text(image, attachments))
            output.flush()

        await each(ids, 1, one, lambda _, error: output.say(str(error)), tally)
    return tally.status


async def _address(server: str, image_id: int) -> str:
    async with service(server) as client:
        await client.image(image_id)
        attachments = await client.attachments(image_id)
        if not attachments:
            raise CliError(f"Image <{image_id}> has no file", Status.NOT_FOUND)
        return client.media_url(image_id, attachments[0].filename)


def _json(image: Image, attachments: list[Attachment]) -> str:
    return output.as_json([asdict(image) | {"attachments": attachments}])


def _text(image: Image, attachments: list[Attachment]) -> str:
    lines = [("id", str(image.image_id)), ("filename", image.filename), ("tags", ", ".join(image.tags))]
    for one in attachments:
        lines.append(("file", f"{one.filename}, {one.content_type}, {one.width}x{one.height}, {one.size:,} bytes"))
        lines.append(("sha256", one.sha256))
    return "".join(f"{name:<10}{shown(value)}".rstrip() + "\n" for name, value in lines)
