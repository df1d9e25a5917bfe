"""What the service tells of images, and how images are chosen."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Image:
    """An image."""

    image_id: int
    filename: str
    tags: list[str]

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the image that a JSON value is. Raises ValueError."""
        try:
            image = cls(value["image_id"], value["filename"], value["tags"])
            "".join([image.filename, *image.tags])  # raises for what is no text, and is faster than asking
        except (LookupError, TypeError):
            raise ValueError from None
        if isinstance(image.image_id, int) and isinstance(image.tags, list):
            return image
        raise ValueError

    def as_dict(self) -> dict[str, Any]:
        return {"image_id": self.image_id, "filename": self.filename, "tags": self.tags}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of an image."""

    filename: str
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the file that a JSON value is. Raises ValueError."""
        match value:
            case {
                "filename": str(filename),
                "content_type": str(content_type),
                "size": int(size),
                "sha256": str(sha256),
                "width": int() | None as width,
                "height": int() | None as height,
            }:
                return cls(filename, content_type, size, sha256.lower(), width, height)
        raise ValueError

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Wanted:
    """Which images: all conditions must hold."""

    tag: list[str] = field(default_factory=list)
    tags_all: list[str] = field(default_factory=list)
    tags_any: list[str] = field(default_factory=list)
    tags_none: list[str] = field(default_factory=list)
    limit: int | None = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of `GET /images`."""
        tags = [(kind, tag) for kind in ("tag", "tags_all", "tags_any", "tags_none") for tag in getattr(self, kind)]
        return tags if self.limit is None else [*tags, ("limit", str(self.limit))]
