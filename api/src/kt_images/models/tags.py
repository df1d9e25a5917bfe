"""Tags: which are meant, on how many images they are, and other names for them."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field, RootModel, model_validator
from pydantic_core import PydanticCustomError

from kt_images.fields import Tag
from kt_images.models.bodies import Body


class TagRename(Body):
    """A tag's new name."""

    tag: Tag = Field(description="The tag that there is.")
    to: Tag = Field(description="Its new name.")
    merge: bool = Field(False, strict=True, description="Whether `to` may be there already: the two become one.")

    @model_validator(mode="after")
    def _another_name(self) -> Self:
        if self.tag == self.to:
            raise PydanticCustomError("same_tag", "The tag has this name already")
        return self


class TagOrder(StrEnum):
    """The order of tags: by name, or by the number of images, the most first."""

    NAME = "name"
    IMAGES = "images"


class TagSelection(BaseModel):
    """Which tags are meant: those that meet every condition, the first `limit` of them in this order."""

    tag: list[str] | None = None
    prefix: str | None = None
    contains: str | None = None
    after: str | None = None
    order: TagOrder = TagOrder.NAME
    limit: int | None = None


class TagCount(BaseModel):
    """A tag, and on how many images it is."""

    tag: str = Field(description="The tag.", examples=["canon"])
    images: int = Field(description="How many images have it.", ge=1, examples=[12])


class TagTotals(BaseModel):
    """The end of a list of tags, sent only after every tag: the proof that the list is complete."""

    totalTags: int = Field(description="Tags in the list.", ge=0)  # noqa: N815 (the seed's spelling)
    totalChunks: int = Field(description="Chunks in the list.", ge=0)  # noqa: N815 (the seed's spelling)


class TagList(RootModel[list[list[TagCount] | TagTotals]]):
    """Chunks of tags in the order asked for, then the totals."""
