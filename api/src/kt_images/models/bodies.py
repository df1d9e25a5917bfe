"""What a client may send: known keys, each with a value."""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

# Unknown keys that one answer names.
MOST_KEYS_NAMED = 16


class Body(BaseModel):
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
