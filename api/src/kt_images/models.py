"""The words everybody shares: images, attachments, totals, errors.

What comes from outside (`NewImage`, `ImageChanges`) is checked and normalised by the types of its fields. What comes
from PostgreSQL (`Image`, `Attachment`) is taken as it is.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator
from pydantic_core import PydanticCustomError

from kt_images.fields import Filename, Tags

# No body has more keys than this by mistake.
MOST_KEYS_READ = 16


def _may_be_left_out(schema: dict[str, Any]) -> None:
    # None stands for "left out" in the code; a client cannot send null.
    del schema["default"]
    schema.update(schema.pop("anyOf")[0])


class Image(BaseModel):
    """An image and its tags."""

    model_config = ConfigDict(from_attributes=True)

    image_id: int = Field(description="The image's id, given by the service.", examples=[19])
    filename: str = Field(description="The name it was given.", examples=["example.jpg"])
    tags: list[str] = Field(
        description="Its tags, in the order in which they were given.", examples=[["example_1", "jpeg", "canon"]]
    )


class _Body(BaseModel):
    """What a client may send: known keys, and values for them."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_keys_and_no_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > MOST_KEYS_READ:
            raise PydanticCustomError("keys", "The keys are {names}", {"names": ", ".join(cls.model_fields)})
        if isinstance(data, dict) and None in data.values():
            raise PydanticCustomError("null", "Leave a key out instead of giving it the value null")
        return data


class NewImage(_Body):
    """What a client says of an image that is to be stored."""

    filename: Filename
    tags: Tags = Field(default_factory=list, description="At most 64; a repeated tag is kept once.")


class ImageChanges(_Body):
    """What is to be different; what is left out stays as it is."""

    filename: Filename | None = Field(None, description="The new name.", json_schema_extra=_may_be_left_out)
    tags: Tags | None = Field(
        None, description="Replaces all tags; excludes the other two.", json_schema_extra=_may_be_left_out
    )
    add_tags: Tags | None = Field(
        None, description="Tags to add behind those it has.", json_schema_extra=_may_be_left_out
    )
    remove_tags: Tags | None = Field(
        None, description="Tags to take away, where it has them.", json_schema_extra=_may_be_left_out
    )

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.tags is not None and (self.add_tags is not None or self.remove_tags is not None):
            raise PydanticCustomError("tags_twice", "tags replaces all tags and excludes add_tags and remove_tags")
        if set(self.add_tags or ()) & set(self.remove_tags or ()):
            raise PydanticCustomError("tags_both", "A tag stands in add_tags and in remove_tags")
        return self


class OnDuplicate(StrEnum):
    """What becomes of an upload whose bytes an image has already."""

    CREATE = "create"
    REJECT = "reject"
    MERGE_TAGS = "merge_tags"


class Selection(BaseModel):
    """Which images are meant: every condition must hold."""

    tags_all: list[str] = []
    tags_any: list[str] = []
    tags_none: list[str] = []
    after: int = 0
    limit: int | None = None


class Totals(BaseModel):
    """The end of a list, sent only when every image was sent: the proof that it is complete."""

    totalImages: int = Field(description="How many images the list gave.", ge=0)  # noqa: N815 (the seed's spelling)
    totalChunks: int = Field(description="In how many chunks.", ge=0)  # noqa: N815 (the seed's spelling)


class ImageList(RootModel[list[list[Image] | Totals]]):
    """Chunks of images in the order of their ids, and the totals at the end."""


class Attachment(BaseModel):
    """A file that is stored for an image: its name, where its bytes are, and what was found in them."""

    model_config = ConfigDict(from_attributes=True)

    image_id: int
    filename: str
    object_key: str
    content_type: str
    size: int
    sha256: str
    width: int
    height: int
    created_at: datetime | None = None


class StoredFile(BaseModel):
    """A file of an image, as its clients see it."""

    filename: str = Field(description="The name under which it is stored.", examples=["example.jpg"])
    content_type: str = Field(description="The type found in its bytes.", examples=["image/jpeg"])
    size: int = Field(description="Its bytes.", examples=[337440])
    sha256: str = Field(description="The SHA-256 of its bytes, in hexadecimal.")
    width: int = Field(description="The picture's width in pixels, as it is shown.")
    height: int = Field(description="The picture's height in pixels, as it is shown.")
    created_at: datetime = Field(description="When it was stored.")
    url: str = Field(description="Where its bytes are.", examples=["/media/1/example.jpg"])


class StoredFiles(RootModel[list[StoredFile]]):
    """The files of an image, by their names."""


class _OfImage(BaseModel):
    image_id: int = Field(description="The id of its image.", examples=[19])


class FoundAttachment(StoredFile, _OfImage):
    """An attachment of some image."""


class FoundAttachments(RootModel[list[FoundAttachment]]):
    """Attachments of any images, by image_id and filename."""


class ErrorDetail(BaseModel):
    """One field at fault."""

    in_: str = Field(alias="in", description="Which part of the request: path, query string, headers or body.")
    loc: list[str | int] = Field(description="Where in that part.")
    msg: str = Field(description="What is wrong with it.")


class Error(BaseModel):
    """The body of every answer that is no success."""

    error: str = Field(description="What went wrong, in a sentence.", examples=["Image <22> is not found"])
    details: list[ErrorDetail] | None = Field(
        None, description="Each field at fault.", json_schema_extra=_may_be_left_out
    )
