"""The query string's filters: which images a call is about."""

from typing import Annotated, Literal

from aiohttp_pydantic.injectors import Group
from pydantic import Field

from kt_images.fields import Count, Omittable, Position, Tag
from kt_images.models.images import Order, Selection

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
    untagged: Annotated[
        Omittable[Literal["true"]], Field(description="Only images without any tag; left out, it is no filter.")
    ] = None
    after: Annotated[
        Position,
        Field(
            description="Only images with a greater `image_id`. To poll for new images, start somewhat before the last "
            "id you saw: of two images stored at the same moment, the one with the smaller id may appear later."
        ),
    ] = 0
    before: Annotated[
        Omittable[Count],
        Field(
            description="Only images with a smaller `image_id`. With `order=newest`, the next page begins before the "
            "last id of this one."
        ),
    ] = None

    def selection(self) -> Selection:
        """Select the images that meet every filter."""
        return Selection(
            tags_all=self.tag + self.tags_all,
            tags_any=self.tags_any,
            tags_none=self.tags_none,
            untagged=self.untagged is not None,
            after=self.after,
            before=self.before,
        )


class ListParameters(Filters):
    """The filters, and how much of the list is wanted, in which order."""

    order: Annotated[Order, Field(description="`oldest`: by ascending `image_id`; `newest`: by descending.")] = (
        Order.OLDEST
    )
    limit: Annotated[Omittable[Count], Field(description="At most this many images; all, if left out.")] = None

    def selection(self) -> Selection:
        """Select the first `limit` of those images, in this order."""
        return super().selection().model_copy(update={"order": self.order, "limit": self.limit})
