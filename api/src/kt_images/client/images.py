"""Images, tags and attachments, read from JSON. Whatever else arrives raises MALFORMED."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, MsgspecError, Struct, convert
from msgspec.json import Decoder
from msgspec.structs import force_setattr

# What msgspec raises for bytes that are not the JSON that is asked for.
MALFORMED = (MsgspecError, UnicodeDecodeError, RecursionError)

ImageId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


# Nothing of an image leads back to it, so that the collector of garbage need not look at a million of them.
class Image(Struct, frozen=True, gc=False):
    """An image: a record with a name and tags."""

    image_id: ImageId
    filename: str
    tags: list[str]


class TagCount(Struct, frozen=True, gc=False):
    """A tag, and on how many images it is."""

    tag: str
    images: Annotated[int, Meta(ge=1)]


class _Count(Struct, rename="camel"):
    total_images: int


class Attachment(Struct, frozen=True):
    """A named file of an image. `size` is in bytes, `sha256` hexadecimal, `width` and `height` in pixels."""

    image_id: ImageId
    filename: str
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None

    def __post_init__(self) -> None:
        force_setattr(self, "sha256", self.sha256.lower())


read_image = Decoder(Image).decode
read_images = Decoder(Image).decode_lines
read_tags = Decoder(TagCount).decode_lines
read_attachments = Decoder(list[Attachment]).decode
_read_count = Decoder(_Count).decode
_read_objects = Decoder(list[dict[str, object]]).decode


def read_count(body: bytes) -> int:
    """Read how many images there are."""
    return _read_count(body).total_images


def attachments_of(image_id: int) -> Callable[[bytes], list[Attachment]]:
    """Return what reads the attachments of one image, whose JSON does not repeat its id."""

    def read(body: bytes) -> list[Attachment]:
        return convert([one | {"image_id": image_id} for one in _read_objects(body)], list[Attachment])

    return read
