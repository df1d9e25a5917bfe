"""Imports: what is told of them line by line."""

from enum import StrEnum

from pydantic import BaseModel, Field

from kt_images.models.errors import ErrorDetail


class OnError(StrEnum):
    """What to do after a line that is refused."""

    SKIP = "skip"
    STOP = "stop"


class ImportProgress(BaseModel):
    """How far an import is: so many lines are done with, and what they say is committed."""

    lines: int
    stored: int
    failed: int


class ImportTotals(BaseModel):
    """The end of an import, sent only after everything: the proof that no line was left out."""

    totalLines: int  # noqa: N815 (the seed's spelling)
    totalImages: int  # noqa: N815 (the seed's spelling)
    totalErrors: int  # noqa: N815 (the seed's spelling)


class RefusedLine(BaseModel):
    """A line of an import that was not stored."""

    line: int = Field(description="Its number, from 1.")
    error: str = Field(description="What is wrong with it.")
    details: list[ErrorDetail]
