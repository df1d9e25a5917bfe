"""Which files the service holds already: asked by their SHA-256, many in one call, before any file is sent."""

import asyncio
import stat
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from threading import Event

from kt_images.cli.errors import CliError
from kt_images.cli.sources import Source
from kt_images.client import Client, NotFoundError
from kt_images.client.fingerprints import Fingerprint, in_thread, taken

# A stretch is hashed and asked for at once, while the files before it are sent.
MOST_FILES = 100
MOST_BYTES = 64 * 2**20
THREADS = 4  # that read files; each change between threads takes longer than to hash a small file


@dataclass(frozen=True)
class Candidate:
    """A file, its fingerprint or why there is none, and the image that has its bytes."""

    source: Source
    fingerprint: Fingerprint | CliError
    image_id: int | None = None


async def candidates(client: Client, files: Sequence[Source]) -> AsyncGenerator[Candidate, None]:
    """Yield each file as a candidate; the next stretch is looked up while this one is used.

    To be closed with `aclosing()` unless it is read to its end.
    """
    following: asyncio.Task[list[Candidate]] | None = None
    try:
        for stretch in [*_stretches(files), None]:
            present, following = following, asyncio.create_task(_looked_up(client, stretch)) if stretch else None
            for candidate in await present if present else ():
                yield candidate
    finally:
        if following:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _looked_up(client: Client, stretch: list[Source]) -> list[Candidate]:
    prints = await _fingerprints(stretch)
    found: dict[str, int] = {}
    with suppress(NotFoundError):  # an older service does not know: then no image has these bytes
        for one in await client.find_attachments(one.sha256 for one in prints if isinstance(one, Fingerprint)):
            found.setdefault(one.sha256, one.image_id)
    return [
        Candidate(source, one, found.get(one.sha256) if isinstance(one, Fingerprint) else None)
        for source, one in zip(stretch, prints, strict=True)
    ]


def _stretches(files: Sequence[Source]) -> Iterator[list[Source]]:
    stretch: list[Source] = []
    for source in files:
        if stretch and (len(stretch) == MOST_FILES or sum(one.size for one in stretch) + source.size > MOST_BYTES):
            yield stretch
            stretch = []
        stretch.append(source)
    if stretch:
        yield stretch


async def _fingerprints(stretch: list[Source]) -> list[Fingerprint | CliError]:
    size = -(-len(stretch) // THREADS)
    shares = [stretch[first : first + size] for first in range(0, len(stretch), size)]
    prints = await asyncio.gather(*(in_thread(partial(_taken, share)) for share in shares))
    return list(chain.from_iterable(prints))


def _taken(sources: list[Source], abandoned: Event) -> list[Fingerprint | CliError]:
    return [_fingerprint(source, abandoned) for source in sources]


def _fingerprint(source: Source, abandoned: Event) -> Fingerprint | CliError:
    try:
        if not stat.S_ISREG(source.path.stat().st_mode):
            # Reading it could take forever, or use it up.
            return CliError("This is not a regular file")
        return taken(source.path, abandoned)
    except OSError as error:
        return CliError(error.strerror or "The file cannot be read")
