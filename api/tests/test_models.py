"""What a name and a tag may be, and that they mean the same wherever they come from."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kt_images.models.images import Image, NewImage

LEGAL = st.characters(exclude_categories=("Cs", "Cc"))
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=120)


def accepts(**fields):
    try:
        return NewImage(**{"filename": "a.jpg", **fields})
    except ValidationError:
        return None


@pytest.mark.parametrize(
    "name", ["a", "n" * 255, "ж" * 127, "a b.jpg", "..a", "\u202egpj.exe", "📷.png", "%2e%2e", '"', "'"]
)
def test_a_plain_name_is_taken(name):
    assert accepts(filename=name).filename == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "n" * 256, "ж" * 128, "\0", "a\nb", "a\x7f", "\x85", "\ud800", 7, None, "a" * 10**6],
)
def test_a_name_that_is_no_plain_name_is_refused(name):
    assert accepts(filename=name) is None


@pytest.mark.parametrize(
    "tag", ["", " ", "\u00a0", "x" * 101, "a\0b", "a\tb", "\udfff", 1, None, ["x"], "\u0301" * 10**6]
)
def test_a_tag_that_is_none_is_refused(tag):
    assert accepts(tags=[tag]) is None


def test_64_tags_are_taken_and_65_are_not():
    assert len(accepts(tags=[f"{n}" for n in range(64)] * 2).tags) == 64
    assert accepts(tags=[f"{n}" for n in range(65)]) is None


@given(TEXT)
def test_what_was_accepted_once_is_accepted_again_unchanged(text):
    if image := accepts(filename=text):
        assert accepts(filename=image.filename) == image
    if image := accepts(tags=[text]):
        assert accepts(tags=image.tags) == image


@given(TEXT)
def test_both_forms_of_a_tag_are_one_tag(text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    if image := accepts(tags=forms):
        assert len(image.tags) == 1


async def test_the_document_of_a_row_is_the_json_of_its_image(pool):
    """PostgreSQL renders it when the row is written; a list copies it."""

    @given(st.text(LEGAL, min_size=1, max_size=60), st.lists(st.text(LEGAL, min_size=1), max_size=5))
    def drawn(name, tags):
        if image := accepts(filename=name, tags=tags):
            images.append(image)

    images = [
        NewImage(filename=chr(code) * 3, tags=[f'"{chr(code)}"'])
        for code in range(0x20, 0x7F)
        if chr(code) not in "/\\."
    ]
    drawn()
    assert len(images) > 150
    for image in images:
        sql = "insert into images (filename, tags) values (%s, %s::text[]) returning image_id, filename, tags, document"
        (row,) = await pool.query(sql, (image.filename, image.tags))
        assert (row.filename, row.tags) == (image.filename, image.tags)
        assert json.loads(row.document) == Image.model_validate(row).model_dump()
