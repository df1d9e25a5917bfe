"""What `add --dry-run` says without the service is what the service says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from kt_images import fields
from kt_images.cli import limits

TEXTS = [
    "",
    " ",
    ".",
    "..",
    "...",
    "a",
    " a ",
    "a/b",
    "a\\b",
    "a\x00",
    "a\x85",
    "\x85a",
    "a\n",
    "\udcff",
    "\u2028",
    "\ufeff",
]
TEXTS += [
    one * number
    for one in ("a", "ä", "e\u0301", "水", "😀", "\u1e9b\u0323")
    for number in (63, 64, 85, 86, 100, 101, 127, 128, 255, 256)
]


def takes(kind, value):
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def agree(text):
    assert limits.is_filename(text) == takes(fields.Filename, text)
    assert limits.is_tag(text) == takes(fields.Tag, text)


@pytest.mark.parametrize("text", TEXTS)
def test_names_and_tags_are_judged_as_by_the_service(text):
    agree(text)


@given(st.text(st.characters(codec=None), max_size=120))
def test_any_text_is_judged_as_by_the_service(text):
    agree(text)


def test_the_limit_and_the_sentences_are_those_of_the_service():
    assert limits.MOST_TAGS == fields.MAX_TAGS
    for kind, value, sentence in (
        (fields.Filename, "", limits.FILENAME),
        (fields.Tag, "", limits.TAG),
        (fields.Tags, list(map(str, range(65))), limits.TAGS),
    ):
        with pytest.raises(ValidationError) as caught:
            TypeAdapter(kind).validate_python(value)
        assert caught.value.errors()[0]["msg"] == sentence
