"""Changes of many images at once: what they are about, and how their progress is told."""

from contextlib import aclosing
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from kt_images.access.gate import recheck
from kt_images.database import bulk
from kt_images.database.bulk import Change, Extent
from kt_images.errors import InvalidRequestError, OtherNumberError, UnavailableError
from kt_images.fields import Omittable, Position
from kt_images.models.images import Selection
from kt_images.models.many import DryRun, Failure, Outcome, Progress
from kt_images.views import app_keys
from kt_images.views.base import View, json_answer
from kt_images.views.filters import Filters
from kt_images.views.listing import NDJSON, format_for

SAMPLE = 10
MOST_FAILURES = 100
TOO_MANY_TAGS = "The image would have more than 64 tags"

Yes = Omittable[Literal["true"]]
DryRunParameter = Annotated[Yes, Field(description="Change nothing; tell how many images it would be, and the first.")]
Expected = Annotated[
    Omittable[Position],
    Field(description="How many images it should be: if it is another number, the answer is 409 and nothing changes."),
]


class ManyParameters(Filters):
    """The filters, and the guards against a typo that means the whole table."""

    all: Annotated[Yes, Field(description="All images, in the place of filters.")] = None
    dry_run: DryRunParameter = None
    expected: Expected = None

    def of(self, image_ids: list[int] | None) -> Selection:
        """Select by ids or by filters or everything. Raises InvalidRequestError for none of them, and for several."""
        filters = self.selection()
        if [filters != Selection(), self.all is not None, image_ids is not None].count(True) != 1:
            raise InvalidRequestError(
                "Say which images are meant: by filters such as tag=a, by all=true for every image, or by image_ids in "
                "the body; by one of these, so that a typo never changes everything"
            )
        return filters.model_copy(update={"image_ids": image_ids})


async def run(
    view: View, selection: Selection, change: Change, *, dry_run: bool, expected: int | None
) -> web.StreamResponse:
    """Change what is selected, and tell the progress to a client that takes NDJSON, the outcome to any.

    A client that leaves stops it after the part under way. Raises OtherNumberError when others match than expected, and
    as `bulk.parts()`.
    """
    request, pool = view.request, view.db
    places = request.app[app_keys.MANY]
    if places.locked():
        raise UnavailableError("Too many changes of many images are being made; please try again")
    async with places:
        extent = await bulk.extent(pool, selection, SAMPLE)
        if expected not in {None, extent.images}:
            raise OtherNumberError(extent.images, expected or 0)
        if dry_run:
            return json_answer(DryRun(totalImages=extent.images, sample=extent.sample))
        teller = _Teller(request, extent)
        async with aclosing(bulk.parts(pool, extent.selection, change, view.settings.stream_patience)) as parts:
            async for part in parts:
                await recheck(request)
                await teller.tell(part)
        return await teller.end()


class _Teller:
    """Sums up the parts, and tells the client of each if it wants to know."""

    def __init__(self, request: web.Request, extent: Extent) -> None:
        self._request, self._expected = request, extent.images
        self._outcome = Outcome(totalImages=0, changed=0, failed=0, failures=[])
        self._stream: web.StreamResponse | None = None

    async def tell(self, part: bulk.Part) -> None:
        """Add a part. Raises ConnectionResetError when the client has left."""
        outcome = self._outcome
        outcome.totalImages += part.images
        outcome.changed += part.changed
        outcome.failed += len(part.failed)
        named = part.failed[: MOST_FAILURES - len(outcome.failures)]
        outcome.failures += [Failure(image_id=image_id, error=TOO_MANY_TAGS) for image_id in named]
        if format_for(self._request) is NDJSON:
            await self._write(Progress(doneImages=outcome.totalImages, totalImages=self._expected))
        elif not self._request.transport or self._request.transport.is_closing():
            raise ConnectionResetError

    async def end(self) -> web.StreamResponse:
        """Send the outcome, which proves that all is done."""
        if format_for(self._request) is not NDJSON:
            return json_answer(self._outcome)
        response = await self._write(self._outcome)
        await response.write_eof()
        return response

    async def _write(self, line: BaseModel) -> web.StreamResponse:
        if not self._stream:
            self._stream = web.StreamResponse(headers={"Content-Type": NDJSON.media_type, "Vary": "Accept"})
            await self._stream.prepare(self._request)
        await self._stream.write(f"{line.model_dump_json()}\n".encode())
        return self._stream
