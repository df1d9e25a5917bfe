"""Attachments: as rows, and as clients see them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, RootModel


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
