"""Changes of many images at once: what is asked, and what became of it."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from kt_images.fields import MAX_ID, Omittable, Tags
from kt_images.models.bodies import Body
from kt_images.models.images import Image

MOST_IDS = 10_000


ImageIds = Omittable[
    Annotated[
        list[Annotated[int, Field(strict=True, ge=1, le=MAX_ID, json_schema_extra={"format": "int64"})]],
        Field(min_length=1, max_length=MOST_IDS, description="The images that are meant, in the place of filters."),
    ]
]


class TheseImages(Body):
    """Images by their ids."""

    image_ids: ImageIds = None


class ManyChanges(TheseImages):
    """Changes of the tags of many images."""

    add_tags: Omittable[Tags] = Field(None, description="Tags to add, behind those that each image has.")
    remove_tags: Omittable[Tags] = Field(None, description="Tags to remove; those that an image lacks are ignored.")

    @model_validator(mode="after")
    def _a_change_without_contradiction(self) -> Self:
        if not self.add_tags and not self.remove_tags:
            raise PydanticCustomError("no_change", "Give tags to add or to remove: add_tags, remove_tags or both")
        if set(self.add_tags or ()) & set(self.remove_tags or ()):
            raise PydanticCustomError("tags_both", "The same tag is in add_tags and in remove_tags; keep it in one")
        return self


class Failure(BaseModel):
    """An image that was not changed."""

    image_id: int = Field(description="The image's id.", json_schema_extra={"format": "int64"})
    error: str = Field(description="Why it was not.")


class DryRun(BaseModel):
    """What would be changed."""

    totalImages: int = Field(description="Images that would be changed.", ge=0)  # noqa: N815 (the seed's spelling)
    sample: list[Image] = Field(description="The first of them.")


class Progress(BaseModel):
    """How far a change of many images is."""

    doneImages: int  # noqa: N815 (the seed's spelling)
    totalImages: int  # noqa: N815 (the seed's spelling)


class Outcome(BaseModel):
    """The end of a change of many images, sent only when all are done: the proof that none was left out."""

    totalImages: int = Field(description="Images that were looked at.", ge=0)  # noqa: N815 (the seed's spelling)
    changed: int = Field(description="Images that are other than before, or gone.", ge=0)
    failed: int = Field(description="Images that would have too many tags; they are as before.", ge=0)
    failures: list[Failure] = Field(description="The first 100 of those.")
