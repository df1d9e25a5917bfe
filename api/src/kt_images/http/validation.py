"""Fields that fail validation: which they are, and what is wrong with each."""

from collections.abc import Iterable, Sequence
from typing import Self

import pydantic
from pydantic_core import ErrorDetails

from kt_images.errors import InvalidRequestError
from kt_images.models.errors import ErrorDetail

LONGEST_LOC = 64  # characters of a client's own key that an answer repeats

# pydantic's sentences speak of inputs and types; these speak of what a client sends.
SENTENCES = {
    "missing": "This is required",
    "string_type": "This must be a string",
    "list_type": "This must be a list",
    "too_long": "Give at most {max_length}",
    "enum": "This must be {expected}",
    "literal_error": "This must be {expected}",
    "json_invalid": "This is not valid JSON in UTF-8",
    "model_type": 'This must be a JSON object, as in {{"filename": "example.jpg"}}',
}


class ValidationFailedError(InvalidRequestError):
    """Some fields of a request break the contract; `details` names each."""

    def __init__(self, details: list[ErrorDetail]) -> None:
        self.details = details
        first = details[0]
        where = ".".join(place for place in first.loc if isinstance(place, str))
        super().__init__(f"{where}: {first.msg}" if where else first.msg)

    @classmethod
    def of(cls, error: pydantic.ValidationError, part: str) -> Self:
        """Translate pydantic's error about a part of the request."""
        faults = error.errors(include_input=False, include_url=False)
        return cls([detail(part, fault["loc"], _sentence(fault)) for fault in faults])


def refuse_unknown_parameters(given: Iterable[str], known: Sequence[str]) -> None:
    """Raise ValidationFailedError when a call is given parameters that it does not know."""
    if unknown := [name for name in given if name not in known]:
        allowed = f"it takes {', '.join(known)}" if known else "it takes none"
        msg = f"This call has no such parameter; {allowed}"
        raise ValidationFailedError([detail("query string", [name], msg) for name in unknown])


def detail(part: str, loc: Iterable[str | int], msg: str) -> ErrorDetail:
    """Say what is wrong with the field `loc` of a `part` of the request."""
    return ErrorDetail.model_validate({"in": part, "loc": [_printable(place) for place in loc], "msg": msg})


def _sentence(fault: ErrorDetails) -> str:
    ours = SENTENCES.get(fault["type"])
    return ours.format(**fault.get("ctx", {})) if ours else fault["msg"]


def _printable(place: str | int) -> str | int:
    if isinstance(place, int):
        return place
    return "".join(c if c.isprintable() else "?" for c in place[:LONGEST_LOC])
