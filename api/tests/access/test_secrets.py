"""How a key is written."""

import zlib

import pytest

from kt_images.access import secrets


def test_a_secret_is_read_as_it_was_made():
    made = secrets.make()
    assert secrets.parse(made.text) == made
    assert len(made.text) == 4 + 8 + 1 + 43 + 1 + 6
    assert made.text.startswith(f"kti_{made.key_id}_")


def test_a_rotated_secret_keeps_the_id_and_nothing_else():
    first = secrets.make()
    second = secrets.make(first.key_id)
    assert second.key_id == first.key_id
    assert second.text[13:] != first.text[13:]


def test_the_checksum_is_the_crc_of_what_stands_before_it():
    body, _, checksum = secrets.make().text.rpartition("_")
    number = 0
    for digit in checksum:
        number = number * 62 + secrets.DIGITS.index(digit)
    assert number == zlib.crc32(body.encode())


def test_no_typo_passes():
    text = secrets.make().text
    for place in range(len(text)):
        for other in "aZ0_ é":
            if other != text[place]:
                assert secrets.parse(text[:place] + other + text[place + 1 :]) is None, place


@pytest.mark.parametrize("text", ["", "kti_", "x" * 10_000, "kti_00000000_" + "0" * 43 + "_000000", "\0", "kti_é"])
def test_what_is_no_secret_is_none(text):
    assert secrets.parse(text) is None
