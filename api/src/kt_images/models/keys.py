"""Keys: what is asked of them, and what is told."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from kt_images.errors import NotFoundError
from kt_images.fields import Omittable
from kt_images.models.bodies import Body
from kt_images.models.scopes import Scope

LONGEST_NAME = 100
LONGEST_OVERLAP = 7 * 24 * 3600  # seconds

_ID = re.compile("[0-9A-Za-z]{8}")


def _name(text: str) -> str:
    text = text.strip()
    # What does not show, or turns what stands beside it around, would deceive whoever reads a list of keys.
    if 1 <= len(text) <= LONGEST_NAME and text.isprintable():
        return text
    raise PydanticCustomError("name", "A name is 1 to 100 characters that can be seen")


def _in_order(scopes: list[Scope]) -> list[Scope]:
    return [scope for scope in Scope if scope in scopes]


def _to_come(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise PydanticCustomError("expires_at", "It must be in the future")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("expires_at", "It must be before the year 10000") from None


def _key_id(text: str) -> str:
    # It is part of a URL: if it is malformed, there is no such URL.
    if _ID.fullmatch(text):
        return text
    raise NotFoundError("There is no such URL: a key's id is 8 letters and digits")


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_NAME})]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope)), AfterValidator(_in_order)]
KeyId = Annotated[
    str,
    BeforeValidator(_key_id),
    Field(description="The key's id.", pattern=f"^{_ID.pattern}$", examples=["0aZ9Qw3x"]),
]


class NewKey(Body):
    """A key to be made."""

    name: Name = Field(description="Who uses it, or for what.", examples=["nightly import"])
    scopes: Scopes = Field(description="What it may do; not more than the key that makes it.", examples=[["read"]])
    expires_at: Annotated[Omittable[AwareDatetime], AfterValidator(lambda moment: moment and _to_come(moment))] = Field(
        None, description="When it ends, with a time zone; without it, when the key ends that makes it, or never."
    )


class Rotation(Body):
    """A new secret for a key."""

    overlap_seconds: int = Field(
        0,
        ge=0,
        le=LONGEST_OVERLAP,
        strict=True,
        description="Seconds for which the old secret works, too.",
        examples=[3600],
    )


class Key(BaseModel):
    """A key, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="The key's id, a part of its secret.", examples=["0aZ9Qw3x"])
    name: str = Field(description="Who uses it, or for what.")
    scopes: list[Scope] = Field(description="What it may do.")
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime | None = Field(description="When it ends; null: never.")
    last_used_at: datetime | None = Field(description="When it was last used, to a minute; null: not yet.")
    created_by: str | None = Field(
        description="The id of the key that made it; null: the command line, or anybody while no key was needed."
    )


class IssuedKey(Key):
    """A key with its secret, which is shown this once."""

    key: str = Field(description="The secret, to be sent as `Authorization: Bearer …`.")

    @classmethod
    def of(cls, key: Key, secret: str) -> "IssuedKey":
        """Return the key with this secret."""
        values: dict[str, Any] = dict(key)
        return cls(**values, key=secret)
