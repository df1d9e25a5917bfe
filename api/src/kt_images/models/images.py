"""Images: as they are stored and sent, which of them are meant, in which order."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator
from pydantic_core import PydanticCustomError

from kt_images.fields import Filename, Omittable, Tags
from kt_images.models.bodies import Body


class Image(BaseModel):
    """An image and its tags."""

    model_config = ConfigDict(from_attributes=True)

    image_id: int = Field(
        description="The image's id, chosen by the service.", examples=[19], json_schema_extra={"format": "int64"}
    )
    filename: str = Field(description="The image's name.", examples=["example.jpg"])
    tags: list[str] = Field(
        description="Its tags, in the order in which they were given.", examples=[["example_1", "jpeg", "canon"]]
    )


class NewImage(Body):
    """An image to be stored."""

    filename: Filename
    tags: Tags = Field(default_factory=list, description="At most 64 different tags; a repeated tag is kept once.")


class ImageChanges(Body):
    """Changes to an image; what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "type": "object",
                "anyOf": [{"required": ["tags", "add_tags"]}, {"required": ["tags", "remove_tags"]}],
            }
        }
    )

    filename: Omittable[Filename] = Field(None, description="The new name.")
    tags: Omittable[Tags] = Field(None, description="Replaces all tags. Not together with `add_tags` or `remove_tags`.")
    add_tags: Omittable[Tags] = Field(None, description="Tags to add, behind those that the image has.")
    remove_tags: Omittable[Tags] = Field(None, description="Tags to remove; those that the image lacks are ignored.")

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.tags is not None and (self.add_tags is not None or self.remove_tags is not None):
            raise PydanticCustomError("tags_twice", "Send either tags, or add_tags and remove_tags")
        if set(self.add_tags or ()) & set(self.remove_tags or ()):
            raise PydanticCustomError("tags_both", "The same tag is in add_tags and in remove_tags; keep it in one")
        return self


class OnDuplicate(StrEnum):
    """What to do with an upload whose bytes an image already has."""

    CREATE = "create"
    REJECT = "reject"
    MERGE_TAGS = "merge_tags"


class Order(StrEnum):
    """The order of images: by ascending `image_id`, or by descending."""

    OLDEST = "oldest"
    NEWEST = "newest"


class Selection(BaseModel):
    """Which images are meant: those that meet every condition, the first `limit` of them in this order."""

    image_ids: Annotated[list[int] | None, Field(min_length=1)] = None
    tags_all: list[str] = []
    tags_any: list[str] = []
    tags_none: list[str] = []
    untagged: bool = False
    after: int = 0
    before: int | None = None
    order: Order = Order.OLDEST
    limit: int | None = None


class ImageCount(BaseModel):
    """How many images there are."""

    totalImages: int = Field(description="Images that meet every filter.", ge=0)  # noqa: N815 (the seed's spelling)


class Totals(BaseModel):
    """The end of a list, sent only after every image: the proof that the list is complete."""

    totalImages: int = Field(description="Images in the list.", ge=0)  # noqa: N815 (the seed's spelling)
    totalChunks: int = Field(description="Chunks in the list.", ge=0)  # noqa: N815 (the seed's spelling)


class ImageList(RootModel[list[list[Image] | Totals]]):
    """Chunks of images in the order asked for, then the totals."""
