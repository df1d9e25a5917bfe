"""The query string's filters: which images a call is about."""

from typing import Annotated

from aiohttp_pydantic.injectors import Group
from pydantic import Field

from kt_images.fields import Count, Omittable, Position, Tag
from kt_images.models import Selection


class Filters(Group):
    """Parameters that together select images. Their types normalise them, so that nobody else has to."""

    tag: list[Tag] = Field(
        default_factory=list,
        description="Only images with this tag. The whole value is one tag, commas included: for several tags repeat "
        "the parameter.",
    )
    tags_all: list[Tag] = Field(
        default_factory=list, description="Only images with all of these tags: repeat the parameter for each tag."
    )
    tags_any: list[Tag] = Field(
        default_factory=list, description="Only images with at least one of these tags: repeat the parameter."
    )
    tags_none: list[Tag] = Field(
        default_factory=list, description="Only images with none of these tags: repeat the parameter."
    )
    after: Annotated[
        Position,
        Field(
            description="Only images with a greater `image_id`. To poll for new images, start somewhat before the last "
            "id you saw: of two images stored at the same moment, the one with the smaller id may appear later."
        ),
    ] = 0

    def selection(self, limit: int | None = None) -> Selection:
        """Select the images that meet every filter; the first `limit` of them, None for all."""
        return Selection(
            tags_all=self.tag + self.tags_all,
            tags_any=self.tags_any,
            tags_none=self.tags_none,
            after=self.after,
            limit=limit,
        )


class ListParameters(Filters):
    """The filters, and how much of the list is wanted."""

    limit: Annotated[Omittable[Count], Field(description="At most this many images; all, if left out.")] = None
