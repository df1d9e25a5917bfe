"""Errors, as the body of an answer."""

from pydantic import BaseModel, Field

from kt_images.fields import Omittable


class ErrorDetail(BaseModel):
    """What is wrong with one field."""

    in_: str = Field(alias="in", description="Where the field is: path, query string, headers or body.")
    loc: list[str | int] = Field(description="The field's name, and its place within it.")
    msg: str = Field(description="What is wrong with it.")


class Error(BaseModel):
    """The body of every answer that reports a failure."""

    error: str = Field(description="What went wrong, in a sentence.", examples=["Image <22> is not found"])
    details: Omittable[list[ErrorDetail]] = Field(None, description="Each field at fault.")
