"""The paths of downloaded files in the output folder: the option `--layout`."""

import string
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kt_images.cli.errors import MisusedError
from kt_images.cli.names import local_name

DEFAULT = "{id}-{filename}"
UNTAGGED = "untagged"
FIELDS = ("id", "filename", "stem", "ext", "sha256", "tag")


@dataclass(frozen=True)
class Layout:
    """A relative path with fields: `{tag}/{id}-{filename}`."""

    pattern: str

    def __post_init__(self) -> None:
        """Raise MisusedError for an unknown field, or a path that is not below the output folder."""
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(self.pattern) if field is not None}
            if unknown := fields - set(FIELDS):
                known = ", ".join(f"{{{field}}}" for field in FIELDS)
                raise MisusedError(f"--layout: there is no field {{{min(unknown)}}}; the fields are {known}")
            self.path(1, "example.jpg", "0", [])
        except (ValueError, TypeError):
            raise MisusedError(
                "--layout: the braces or formats are malformed; an example is {tag}/{id}-{filename}"
            ) from None
        parts = self.pattern.split("/")
        if not fields or {"", ".", ".."} & set(parts):
            raise MisusedError("--layout: it must be a relative path with a field, such as {tag}/{id}-{filename}")

    @property
    def needs_tags(self) -> bool:
        return "{tag" in self.pattern

    def path(self, image_id: int, filename: str, sha256: str, tags: list[str]) -> Path:
        """Return the relative path; each component is a safe name even if the service's names are hostile."""
        name = PurePosixPath(filename.replace("/", "_"))
        values = {
            "id": image_id,
            "filename": filename,
            "stem": name.stem,
            "ext": name.suffix,
            "sha256": sha256,
            "tag": tags[0] if tags else UNTAGGED,
        }
        return Path(*(local_name(part.format_map(values)) for part in self.pattern.split("/")))
