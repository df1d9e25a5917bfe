"""The place of a bucket's store, as the setting --store names it: s3://bucket/prefix."""

from dataclasses import dataclass
from typing import Self

from kt_images.base_settings import BUCKET_PLACE


@dataclass(frozen=True)
class Place:
    """A bucket and what the names of all objects in it begin with: empty, or it ends with a slash."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the place, None if it is not one."""
        found = BUCKET_PLACE.fullmatch(text)
        return cls(found["bucket"], f"{found['prefix'].strip('/')}/".lstrip("/")) if found else None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")
