"""The query string's filters: which images a call is about."""

from typing import Annotated

from aiohttp_pydantic.injectors import Group
from pydantic import Field

from kt_images.fields import Count, Omittable, Position, Tag
from kt_images.models import Selection

ONE_TAG = "A value such as `a,b` is one tag with a comma in it."


class Filters(Group):
    """Parameters that together select images. Their types normalise them, so that nobody else has to."""

    tag: list[Tag] = Field(
        default_factory=list,
        description=f"Only images with this tag; repeat the parameter for more. {ONE_TAG}",
    )
    tags_all: list[Tag] = Field(
        default_factory=list,
        description=f"Only images with all of these tags, as in `tags_all=a&tags_all=b`. {ONE_TAG}",
    )
    tags_any: list[Tag] = Field(
        default_factory=list,
        description=f"Only images with at least one of these tags, as in `tags_any=a&tags_any=b`. {ONE_TAG}",
    )
    tags_none: list[Tag] = Field(
        default_factory=list,
        description=f"Only images with none of these tags, as in `tags_none=a&tags_none=b`. {ONE_TAG}",
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
