"""One file from the service: resumed where it stopped, verified, and put in its place in one step."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from kt_images.cli import sources
from kt_images.cli.client import Client
from kt_images.cli.errors import BrokenError, CliError
from kt_images.cli.images import Attachment

EXISTS = "{} exists already and is another file; --overwrite replaces it"


async def is_held(target: Path, attachment: Attachment) -> bool:
    """Tell whether the local file has the attachment's bytes already. Raises OSError."""
    if not target.is_file() or target.stat().st_size != attachment.size:
        return False
    return (await sources.fingerprint(target)).sha256.hex() == attachment.sha256


async def download(
    client: Client, image_id: int, attachment: Attachment, target: Path, overwrite: bool, moved: Callable[[int], None]
) -> None:
    """Store the attachment's bytes as `target`; `moved` is told how many have come.

    What comes stays in a hidden file beside it until it is whole, and is gone on with the next time. Raises OSError,
    and CliError also when the bytes do not have the attachment's hash or `target` exists and may not be overwritten.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(_part_name(image_id, attachment))
    resumed = part.exists() and part.stat().st_size > 0
    await _complete(client, image_id, attachment, part, moved)
    if await _is_damaged(part, attachment) and resumed:
        # What lay there was not the beginning of it.
        part.unlink()
        await _complete(client, image_id, attachment, part, moved)
    if await _is_damaged(part, attachment):
        part.unlink()
        raise CliError(
            f"{target}: the bytes that came do not have the hash that the service tells; they are thrown away"
        )
    _put(part, target, overwrite)


async def _complete(
    client: Client, image_id: int, attachment: Attachment, part: Path, moved: Callable[[int], None]
) -> None:
    """Fetch what `part` lacks, however often the connection breaks, as long as each brings something."""

    async def attempt() -> None:
        with part.open("ab") as file:
            while True:
                before = file.tell()
                try:
                    return await _fetch(client, image_id, attachment, file, moved)
                except BrokenError:
                    if file.tell() <= before:
                        raise

    await client.persist(attempt)


async def _fetch(
    client: Client, image_id: int, attachment: Attachment, file: BinaryIO, moved: Callable[[int], None]
) -> None:
    have = file.tell()
    if have == attachment.size:
        return
    if have > attachment.size:
        have = file.truncate(0)
    async with client.media(image_id, attachment.filename, have) as (start, pieces):
        file.truncate(start)
        moved(start - have)
        async for piece in pieces:
            file.write(piece)
            moved(len(piece))
            if file.tell() > attachment.size:
                raise CliError(f"The service sends more bytes of {attachment.filename} than it told")


async def _is_damaged(part: Path, attachment: Attachment) -> bool:
    return (await sources.fingerprint(part)).sha256.hex() != attachment.sha256


def _put(part: Path, target: Path, overwrite: bool) -> None:
    """Give the whole file its name. Raises CliError if there is something of that name that may not be replaced."""
    if overwrite:
        part.replace(target)
        return
    try:
        os.link(part, target)  # unlike a rename, it never replaces
        part.unlink()
    except OSError as error:
        if os.path.lexists(target):
            raise CliError(EXISTS.format(target)) from error
        part.rename(target)  # a file system without links


def _part_name(image_id: int, attachment: Attachment) -> str:
    """A name of our own, the same the next time, and never that of another file."""
    identity = f"{image_id}/{attachment.filename}/{attachment.sha256}"
    return f".kt-images-{hashlib.sha256(identity.encode(errors='replace')).hexdigest()[:32]}.part"
