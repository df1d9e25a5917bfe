"""Images and attachments, read from JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Image:
    """An image: a record with a name and tags."""

    image_id: int
    filename: str
    tags: list[str]

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the image that a JSON value describes. Raises ValueError."""
        try:
            image = cls(value["image_id"], value["filename"], value["tags"])
            "".join([image.filename, *image.tags])  # raises TypeError for anything but text; faster than isinstance()
        except (LookupError, TypeError):
            raise ValueError from None
        if isinstance(image.image_id, int) and isinstance(image.tags, list):
            return image
        raise ValueError


@dataclass(frozen=True, slots=True)
class Attachment:
    """A named file of an image. `size` is in bytes, `sha256` hexadecimal, `width` and `height` in pixels."""

    image_id: int
    filename: str
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the attachment that a JSON value describes. Raises ValueError."""
        match value:
            case {
                "image_id": int(image_id),
                "filename": str(filename),
                "content_type": str(content_type),
                "size": int(size),
                "sha256": str(sha256),
                "width": int() | None as width,
                "height": int() | None as height,
            }:
                return cls(image_id, filename, content_type, size, sha256.lower(), width, height)
        raise ValueError


def all_of(kind: Callable[[Any], T], value: Any) -> list[T]:
    """Return what a JSON array describes. Raises ValueError."""
    if not isinstance(value, list):
        raise ValueError  # noqa: TRY004 (one error for every malformed answer)
    return [kind(one) for one in value]
