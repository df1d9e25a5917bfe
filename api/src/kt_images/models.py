"""The shapes that everybody shares: images, attachments, selections, totals, errors.

What clients send (`NewImage`, `ImageChanges`) is checked and normalised by the types of its fields. What PostgreSQL
gives (`Image`, `Attachment`) is taken as it is.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from kt_images.fields import MAX_ID, Filename, Omittable, Tag, Tags

# Unknown keys that one answer names.
MOST_KEYS_NAMED = 16


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


class _Body(BaseModel):
    """What a client may send: known keys, each with a value."""

    model_config = ConfigDict(extra="forbid")

    _known: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls._known = frozenset(cls.model_fields)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys_with_values(cls, data: Any) -> Any:
        # Nearly every body passes here at once: an import has a million.
        if isinstance(data, dict) and not (data.keys() <= cls._known and None not in data.values()):
            known = {"known": ", ".join(cls.model_fields)}
            unknown = PydanticCustomError("unknown_key", "There is no such key; this body takes {known}", known)
            cls._refuse(data.keys() - cls.model_fields.keys(), unknown)
            nulls = {key for key, value in data.items() if value is None}
            required = {key for key, field in cls.model_fields.items() if field.is_required()}
            cls._refuse(nulls & required, PydanticCustomError("null", "Give it a value other than null"))
            null = PydanticCustomError("null", "Give it a value other than null, or leave the key out")
            cls._refuse(nulls, null)
        return data

    @classmethod
    def _refuse(cls, keys: Iterable[str], error: PydanticCustomError) -> None:
        if named := sorted(keys)[:MOST_KEYS_NAMED]:
            details = [InitErrorDetails(type=error, loc=(key,), input=None) for key in named]
            raise ValidationError.from_exception_data(cls.__name__, details)


class NewImage(_Body):
    """An image to be stored."""

    filename: Filename
    tags: Tags = Field(default_factory=list, description="At most 64 different tags; a repeated tag is kept once.")


class ImageChanges(_Body):
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


MOST_IDS = 10_000

ImageIds = Omittable[
    Annotated[
        list[Annotated[int, Field(strict=True, ge=1, le=MAX_ID, json_schema_extra={"format": "int64"})]],
        Field(min_length=1, max_length=MOST_IDS, description="The images that are meant, in the place of filters."),
    ]
]


class TheseImages(_Body):
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


class TagRename(_Body):
    """A tag's new name."""

    tag: Tag = Field(description="The tag that there is.")
    to: Tag = Field(description="Its new name.")
    merge: bool = Field(False, strict=True, description="Whether `to` may be there already: the two become one.")

    @model_validator(mode="after")
    def _another_name(self) -> Self:
        if self.tag == self.to:
            raise PydanticCustomError("same_tag", "The tag has this name already")
        return self


class OnError(StrEnum):
    """What to do after a line that is refused."""

    SKIP = "skip"
    STOP = "stop"


class ImportProgress(BaseModel):
    """How far an import is: so many lines are done with, and what they say is committed."""

    lines: int
    stored: int
    failed: int


class ImportTotals(BaseModel):
    """The end of an import, sent only after everything: the proof that no line was left out."""

    totalLines: int  # noqa: N815 (the seed's spelling)
    totalImages: int  # noqa: N815 (the seed's spelling)
    totalErrors: int  # noqa: N815 (the seed's spelling)


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


class ImageCount(BaseModel):
    """How many images there are."""

    totalImages: int = Field(description="Images that meet every filter.", ge=0)  # noqa: N815 (the seed's spelling)


class Totals(BaseModel):
    """The end of a list, sent only after every image: the proof that the list is complete."""

    totalImages: int = Field(description="Images in the list.", ge=0)  # noqa: N815 (the seed's spelling)
    totalChunks: int = Field(description="Chunks in the list.", ge=0)  # noqa: N815 (the seed's spelling)


class ImageList(RootModel[list[list[Image] | Totals]]):
    """Chunks of images in the order asked for, then the totals."""


class Attachment(BaseModel):
    """A row of the table `attachments`: a named file of an image, the key of its object, what its bytes contain."""

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


class ImageAttachment(BaseModel):
    """An attachment of an image, as clients see it."""

    filename: str = Field(description="The attachment's name.", examples=["example.jpg"])
    content_type: str = Field(description="The media type, determined from its bytes.", examples=["image/jpeg"])
    size: int = Field(description="Its size in bytes.", examples=[337440], json_schema_extra={"format": "int64"})
    sha256: str = Field(description="The SHA-256 of its bytes, in hexadecimal.")
    width: int = Field(description="The width in pixels, as the picture is shown.", examples=[512])
    height: int = Field(description="The height in pixels, as the picture is shown.", examples=[600])
    created_at: datetime = Field(description="When it was stored.")
    url: str = Field(
        description="Where to download these bytes: they never change under this URL, so that caches may keep them.",
        examples=["/media/1/example.jpg?sha256=9a0364b9e99bb480dd25e1f0284c8555b1d2c4d1a0a5a1b7a5a7a9d1d9a3c6e0"],
    )


class ImageAttachments(RootModel[list[ImageAttachment]]):
    """The attachments of an image, by filename."""


class _OfImage(BaseModel):
    image_id: int = Field(
        description="The id of the image that has it.", examples=[19], json_schema_extra={"format": "int64"}
    )


class FoundAttachment(ImageAttachment, _OfImage):
    """An attachment and the image that has it."""


class FoundAttachments(RootModel[list[FoundAttachment]]):
    """Attachments of any images, by image_id and filename."""


class ErrorDetail(BaseModel):
    """What is wrong with one field."""

    in_: str = Field(alias="in", description="Where the field is: path, query string, headers or body.")
    loc: list[str | int] = Field(description="The field's name, and its place within it.")
    msg: str = Field(description="What is wrong with it.")


class RefusedLine(BaseModel):
    """A line of an import that was not stored."""

    line: int = Field(description="Its number, from 1.")
    error: str = Field(description="What is wrong with it.")
    details: list[ErrorDetail]


class Error(BaseModel):
    """The body of every answer that reports a failure."""

    error: str = Field(description="What went wrong, in a sentence.", examples=["Image <22> is not found"])
    details: Omittable[list[ErrorDetail]] = Field(None, description="Each field at fault.")
