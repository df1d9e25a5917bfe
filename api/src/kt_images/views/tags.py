"""/tags: which tags there are, and on how many images."""

from typing import Annotated

from aiohttp_pydantic.injectors import Group
from aiohttp_pydantic.oas.typing import r200
from pydantic import Field

from kt_images.database.tags import TagQuery
from kt_images.errors import InvalidRequestError
from kt_images.fields import Count, Omittable, Tag
from kt_images.models.scopes import Scope
from kt_images.models.tags import TagList, TagOrder, TagSelection, TagTotals
from kt_images.views.base import View
from kt_images.views.call import call, ndjson
from kt_images.views.listing import send


class TagParameters(Group):
    """Which tags are wanted, and in which order."""

    tag: list[Tag] = Field(default_factory=list, description="Only this tag; repeat the parameter for more.")
    prefix: Annotated[
        Omittable[Tag], Field(description="Only tags that begin so, in upper or lower case, as for completion.")
    ] = None
    contains: Annotated[Omittable[Tag], Field(description="Only tags that contain this, in upper or lower case.")] = (
        None
    )
    after: Annotated[Omittable[Tag], Field(description="Only tags behind this one by name.")] = None
    order: Annotated[
        TagOrder, Field(description="`name`: by code point; `images`: those on the most images first.")
    ] = TagOrder.NAME
    limit: Annotated[Omittable[Count], Field(description="At most this many tags; all, if left out.")] = None

    def selection(self) -> TagSelection:
        """Select the tags. Raises InvalidRequestError for a page of an order that changes with every image."""
        if self.after is not None and self.order is TagOrder.IMAGES:
            raise InvalidRequestError("after: Goes with order=name only; numbers of images change between two pages")
        return TagSelection(
            tag=self.tag or None,
            prefix=self.prefix,
            contains=self.contains,
            after=self.after,
            order=self.order,
            limit=self.limit,
        )


class TagsView(View):
    """All tags."""

    group = "Tags"

    @call("list_tags", Scope.READ, answers={200: ndjson("A tag on each line, then the totals on the last line.")})
    async def get(self, wanted: TagParameters) -> r200[TagList]:
        """List tags with the number of their images, as a stream.

        What was stored before the request is counted. A tag that is on no image is not listed. The list ends with its
        totals, which are sent only after every tag. With `Accept: application/x-ndjson` each tag is on a line of its
        own, and the totals are on the last line.

        Status Codes:
            200: Chunks of tags, then the totals.
        """
        query = TagQuery(wanted=wanted.selection())
        return await send(
            self,
            self.reader.streams,
            query,
            lambda tags, chunks: TagTotals(totalTags=tags, totalChunks=chunks),
            of_one_moment=wanted.order is TagOrder.IMAGES,
        )

    head = get
