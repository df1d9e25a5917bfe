"""POST /images with a line for each image: stored in batches while the next lines are read and checked."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import pydantic
from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ConfigDict, Field

from kt_images.access.gate import recheck
from kt_images.database import certain, images
from kt_images.database.images import Document
from kt_images.errors import CommitInDoubtError, UnavailableError
from kt_images.http.lines import Lines
from kt_images.http.validation import ValidationFailedError, detail
from kt_images.models.images import NewImage
from kt_images.models.imports import ImportProgress, ImportTotals, OnError, RefusedLine
from kt_images.views import app_keys
from kt_images.views.base import View
from kt_images.views.call import ndjson
from kt_images.views.listing import NDJSON

MEDIA_TYPE = NDJSON.media_type

# An image has no need of more, whatever its spelling.
LONGEST_LINE = 2**20
TOO_LONG = "The line is longer than 1 MiB"
# What is stored by one statement, at most: so many images, from so many bytes of lines. More of them are cheaper, as a
# tag counts once; but so many lines may be stored, and not told, when the service is killed.
BATCH_IMAGES, BATCH_BYTES = 5000, 4 * 2**20
# Lines that are checked until others have their turn.
TURN = 100
MOST_REFUSALS = 1000
# Seconds after which what there is is stored, however few lines: the client may wait for an answer.
MOMENT = 0.5
# Bytes that wait for a client that is not reading, above which it is told less often.
UNREAD = 2**16


class Return(StrEnum):
    """What to answer beside the progress."""

    NOTHING = "nothing"
    IMAGES = "images"


class ImportParameters(BaseModel):
    """The query string of an import."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    on_error: Annotated[
        OnError, Field(description="After a line that is refused: `skip` it, or `stop`. Only for an import.")
    ] = OnError.SKIP
    return_: Annotated[
        Return,
        Field(alias="return", description="`images`: answer each stored image as well. Only for an import."),
    ] = Return.NOTHING


PARAMETERS = tuple(one.alias or name for name, one in ImportParameters.model_fields.items())

BODY = ndjson("An image to create on each line: an import.")
ANSWER = ndjson(
    "Of an import: a line after each batch that is stored, one for each of the first 1,000 lines that are refused, and "
    "the totals as the last line."
)


async def run(view: View, query: MultiMapping[str]) -> web.StreamResponse:
    """Import the lines of the body. Raises InvalidRequestError, UnavailableError, StalledError, TooSlowError."""
    given = {name: query.getall(name) for name in query}
    try:
        # A list of several values is refused.
        parameters = ImportParameters.model_validate(
            {name: values if values[1:] else values[0] for name, values in given.items()}
        )
    except pydantic.ValidationError as error:
        raise ValidationFailedError.of(error, "query string") from None
    places = view.request.app[app_keys.IMPORTS]
    if places.locked():
        raise UnavailableError("Too many imports are under way; please try again")
    async with places:
        return await _Import(view, parameters).run()


@dataclass
class _Batch:
    """Valid images as JSON, the bytes of their lines, and how many lines were read before them."""

    lines_before: int
    until: float  # when it is stored, full or not, by the loop's clock
    new: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.new) >= BATCH_IMAGES or self.size >= BATCH_BYTES


class _Import:
    def __init__(self, view: View, parameters: ImportParameters) -> None:
        self._request, self._db = view.request, view.db
        self._patience = view.settings.stream_patience
        self._source = Lines(self._request, LONGEST_LINE, MOMENT, view.settings.body_timeout)
        self._stops = parameters.on_error is OnError.STOP
        self._returns = parameters.return_ is Return.IMAGES
        self._lines = self._failed = self._stored = 0
        self._batch = self._new_batch()
        self._storing: asyncio.Task[None] | None = None  # the batch before
        self._response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
        if self._stops:
            self._response.force_close()  # the rest of the body is not read

    async def run(self) -> web.StreamResponse:
        try:
            await self._read()
            await self._store()
            await self._stored_before()
        finally:
            if self._storing:
                self._storing.cancel()
                await asyncio.wait([self._storing])
        totals = ImportTotals(totalLines=self._lines, totalImages=self._stored, totalErrors=self._failed)
        await self._write(totals.model_dump_json())
        await self._response.write_eof()
        return self._response

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        async for lines in self._source:
            for line in lines:
                self._lines += 1
                refusal = self._refusal(line)
                if refusal:
                    await self._refuse(refusal)
                    if self._stops:
                        return
                if self._batch.is_full:
                    await self._store()
                if not self._lines % TURN:
                    await asyncio.sleep(0)
            if not lines or loop.time() >= self._batch.until:
                await self._store()
            if not lines:
                await self._stored_before()

    def _refusal(self, line: bytes | None) -> ValidationFailedError | None:
        """Add the line to the batch, or return what is wrong with it; an empty line is nothing."""
        if line is None:
            self._failed += 1
            return ValidationFailedError([detail("body", [], TOO_LONG)])
        if not line.strip():
            return None
        try:
            # As text, an image costs no collection of garbage.
            self._batch.new.append(NewImage.model_validate_json(line).model_dump_json())
        except pydantic.ValidationError as error:
            self._failed += 1
            return ValidationFailedError.of(error, "body")
        self._batch.size += len(line)
        return None

    async def _refuse(self, error: ValidationFailedError) -> None:
        if self._failed <= MOST_REFUSALS:
            refused = RefusedLine(line=self._lines, error=str(error), details=error.details)
            await self._write(refused.model_dump_json(by_alias=True))

    def _new_batch(self) -> _Batch:
        return _Batch(self._lines, until=asyncio.get_running_loop().time() + MOMENT)

    async def _store(self) -> None:
        """Begin to store the batch, once the one before is stored; a batch of no lines is nothing."""
        await recheck(self._request)
        if self._lines == self._batch.lines_before:
            return
        await self._stored_before()
        self._storing = asyncio.create_task(self._store_batch(self._batch.new, self._lines, self._failed))
        self._batch = self._new_batch()

    async def _stored_before(self) -> None:
        if self._storing:
            await self._storing
            self._storing = None

    async def _store_batch(self, new: list[str], lines: int, failed: int) -> None:
        """Store images; then so many lines are done with, and so many of them refused."""
        documents = await self._committed(new) if new else []
        self._stored += len(new)
        progress = ImportProgress(lines=lines, stored=self._stored, failed=failed)
        if self._returns:
            await self._write("\n".join([*(document.json for document in documents), progress.model_dump_json()]))
        elif not self._is_unread():
            await self._write(progress.model_dump_json())

    async def _committed(self, new: list[str]) -> list[Document]:
        """Store the images once, waiting for a database that is away, except for the first ones."""
        until = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                return await certain.transaction(
                    self._db, lambda connection: images.import_(connection, new, answer=self._returns), self._patience
                )
            except CommitInDoubtError:
                raise
            except UnavailableError:
                if not self._stored or asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(certain.PAUSE)

    def _is_unread(self) -> bool:
        transport = self._request.transport
        return transport is not None and transport.get_write_buffer_size() > UNREAD

    async def _write(self, lines: str) -> None:
        """Send lines. Nobody waits for a client that does not read yet, unless it asked for the images."""
        await self._response.prepare(self._request)
        text = f"{lines}\n".encode()
        if self._returns:
            await self._response.write(text)
        else:
            await self._request.writer.write(text, drain=False)  # type: ignore[call-arg]  # its class is not the declared one
