"""An attachment's bytes: resumed where they stopped, verified, and put in place in one step."""

import errno
import hashlib
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from kt_images.client.connection import Connection, quoted
from kt_images.client.errors import (
    ClientError,
    ConnectionBrokenError,
    DigestMismatchError,
    TargetExistsError,
    TransientError,
    UnexpectedAnswerError,
)
from kt_images.client.fingerprints import digest, fingerprint
from kt_images.client.images import Attachment
from kt_images.client.retry import Attempts
from kt_images.client.uploads import Progress

CHUNK_SIZE = 256 * 1024
# A link that somebody else has put there must not lead the bytes elsewhere; not every system knows these.
FLAGS = (
    os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


def media_path(image_id: int, filename: str) -> str:
    """Return the path of an attachment's bytes, below the address of the service. Raises ClientError."""
    return f"media/{image_id}/{quoted(filename)}"


async def chunks(connection: Connection, attachment: Attachment, start: int = 0) -> AsyncGenerator[bytes, None]:
    """Yield the attachment's bytes from `start` on, over as many connections as it takes.

    Raises UnexpectedAnswerError if there are more or less than `attachment.size`; their SHA-256 is not verified.
    To be closed with `aclosing()` unless it is read to its end.
    """
    position, attempts = start, Attempts(connection.patience)
    while position < attachment.size:
        begun_at = position
        try:
            async with aclosing(_once(connection, attachment, position)) as pieces:
                async for piece in pieces:
                    position += len(piece)
                    yield piece
        except ConnectionBrokenError as error:
            if position > begun_at:
                attempts = Attempts(connection.patience)
            else:
                await attempts.wait(error)
        except TransientError as error:
            await attempts.wait(error)


async def verified(connection: Connection, attachment: Attachment) -> AsyncGenerator[bytes, None]:
    """Yield all of the attachment's bytes; raise DigestMismatchError at the end if they have another SHA-256."""
    seen = hashlib.sha256()
    async with aclosing(chunks(connection, attachment)) as pieces:
        async for piece in pieces:
            seen.update(piece)
            yield piece
    if seen.hexdigest() != attachment.sha256:
        raise DigestMismatchError(f"SHA-256 mismatch: these are not the bytes of {attachment.filename}")


async def download(
    connection: Connection, attachment: Attachment, target: Path, overwrite: bool, progress: Progress
) -> bool:
    """Store the attachment as `target`; return False if the file is there already, with the same bytes.

    Until they are complete, the bytes are in a hidden file beside it, from which the next call resumes. Raises OSError,
    TargetExistsError, DigestMismatchError.
    """
    media_path(attachment.image_id, attachment.filename)  # for a malformed name it raises before a file is made
    if await _is_held(target, attachment):
        return False
    if os.path.lexists(target) and not overwrite:
        raise TargetExistsError(f"{target} exists already, with other bytes")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(_part_name(attachment))
    with _opened(part) as file:
        resumed = await _fill(connection, attachment, file, progress)
        if resumed and not await _is_intact(file, attachment):
            # What the file held was not the beginning of this attachment.
            file.truncate(0)
            progress(-attachment.size)
            await _fill(connection, attachment, file, progress)
        if not await _is_intact(file, attachment):
            part.unlink()
            raise DigestMismatchError(f"{target}: SHA-256 mismatch; download discarded")
    _put(part, target, overwrite)
    return True


async def _once(connection: Connection, attachment: Attachment, start: int) -> AsyncGenerator[bytes, None]:
    """Yield the bytes from `start` on, over one connection."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    path = media_path(attachment.image_id, attachment.filename)
    async with connection.answer("GET", path, follow=True, headers=headers) as response:
        is_part = response.status == HTTPStatus.PARTIAL_CONTENT
        if is_part and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise connection.unexpected()
        position = start if is_part else 0
        async for piece in response.content.iter_chunked(CHUNK_SIZE):
            wanted = piece[max(0, start - position) :]  # a server may ignore Range and send everything
            position += len(piece)
            if position > attachment.size:
                raise UnexpectedAnswerError(f"{connection} sends more bytes of {attachment.filename} than it has")
            if wanted:
                yield wanted
        if position < attachment.size:
            raise UnexpectedAnswerError(f"{connection} sends fewer bytes of {attachment.filename} than it has")


async def _fill(connection: Connection, attachment: Attachment, file: BinaryIO, progress: Progress) -> bool:
    """Fetch the bytes that the file lacks; return whether it had some."""
    start = file.seek(0, os.SEEK_END)
    if start > attachment.size:
        start = file.seek(file.truncate(0))
    progress(start)
    async with aclosing(chunks(connection, attachment, start)) as pieces:
        async for piece in pieces:
            file.write(piece)
            progress(len(piece))
    return start > 0


async def _is_held(target: Path, attachment: Attachment) -> bool:
    if not target.is_file() or target.stat().st_size != attachment.size:
        return False
    return (await fingerprint(target)).sha256 == attachment.sha256


async def _is_intact(file: BinaryIO, attachment: Attachment) -> bool:
    file.seek(0)
    return await digest(file) == attachment.sha256


def _opened(part: Path) -> BinaryIO:
    """Open the hidden file, which must be a file of our own. Raises OSError, and ClientError for anything else."""
    try:
        descriptor = os.open(part, FLAGS, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _not_ours(part) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise _not_ours(part)
    return os.fdopen(descriptor, "r+b")


def _not_ours(part: Path) -> ClientError:
    return ClientError(f"{part} is not a regular file; delete it and try again")


def _put(part: Path, target: Path, overwrite: bool) -> None:
    """Give the complete file its name. Raises TargetExistsError if that would replace something unasked."""
    if overwrite:
        part.replace(target)
        return
    try:
        os.link(part, target, follow_symlinks=False)  # unlike a rename, it never replaces
        part.unlink()
    except (OSError, NotImplementedError) as error:
        if os.path.lexists(target):
            raise TargetExistsError(f"{target} exists already, with other bytes") from error
        part.rename(target)  # a file system without links


def _part_name(attachment: Attachment) -> str:
    """A name of our own, the same for the next call, and different for each attachment and version."""
    identity = f"{attachment.image_id}/{attachment.filename}/{attachment.sha256}"
    return f".kt-images-{hashlib.sha256(identity.encode(errors='replace')).hexdigest()[:32]}.part"
