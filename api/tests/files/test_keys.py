"""Keys: made here, and recognised from everything else."""

import pytest

from kt_images.files.keys import new_key, object_key, thumbnail_key


@pytest.mark.parametrize("image_id", [1, 42, 1042, 2**63 - 1])
def test_a_key_that_was_made_is_recognised_and_so_are_its_thumbnails(image_id):
    key = new_key(image_id, "jpg")
    assert key.startswith(f"{image_id % 1000:03}/{image_id}-")
    assert object_key(key) == key
    assert object_key(thumbnail_key(key, 320)) == key


def test_no_key_is_made_twice():
    assert len({new_key(1, "jpg") for _ in range(1000)}) == 1000


UUID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "name",
    [
        "", "README", "thumbs.db", f"001/1-{UUID}", f"002/1-{UUID}.png", f"001/0-{UUID}.png", f"001/01-{UUID}.png", f"1/1-{UUID}.png",
        f"001/1-{UUID}.png.w320", f"001/1-{UUID}.png.w0.webp", f"001/1-{UUID}.png\n", f"001/1-{UUID}.PNG", f"/001/1-{UUID}.png",
        f"../001/1-{UUID}.png", f"001/../1-{UUID}.png", f"001/1-{UUID[:-1]}.png", f"001/1-{UUID}.png.w320.webp.w320.webp",
    ],
)  # fmt: skip
def test_other_names_are_foreign(name):
    assert object_key(name) is None
