"""The rows of an archive: held to what the service itself would have stored.

The types of names and tags are those of what clients send. Values are taken as JSON has them, and unknown keys are
refused: nobody but a backup is expected to have written them.
"""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from kt_images.fields import MAX_ID, Filename, Tags
from kt_images.files import keys
from kt_images.files.pictures import EXTENSIONS
from kt_images.models.attachments import Attachment
from kt_images.models.images import Image

# No service has given out so many; as many are left for new images.
HIGHEST_ID = MAX_ID // 2
# Of PostgreSQL's type integer.
MOST_PIXELS_WIDE = 2**31 - 1
# Any moment outside may leave the calendar as it changes its time zone.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

Id = Annotated[int, Field(ge=1, le=HIGHEST_ID)]
Number = Annotated[int, Field(ge=0, le=MAX_ID)]
Length = Annotated[int, Field(ge=1, le=MOST_PIXELS_WIDE)]


STRICT = ConfigDict(extra="forbid", strict=True)


class ImageRow(Image):
    """An image; its name and tags are normalised as those of a new one."""

    model_config = STRICT

    image_id: Id
    filename: Filename
    tags: Tags


class AttachmentRow(Attachment):
    """An attachment; its object has the key that it had when it was backed up."""

    model_config = STRICT

    image_id: Id
    filename: Filename
    object_key: str
    content_type: str
    size: Annotated[int, Field(ge=1, le=MAX_ID)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    width: Length
    height: Length
    created_at: Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST)]

    @model_validator(mode="after")
    def _own_key(self) -> Self:
        extension = EXTENSIONS.get(self.content_type)
        if not extension or not keys.belongs_to(self.object_key, self.image_id, extension):
            raise PydanticCustomError("object_key", "The object belongs to another image, or is of another type")
        return self


class TotalsRow(BaseModel):
    """How much an archive contains, and the highest id that was given out."""

    model_config = STRICT

    images: Number
    attachments: Number
    bytes: int  # of any number of files
    last_image_id: Annotated[int, Field(ge=0, le=HIGHEST_ID)]
