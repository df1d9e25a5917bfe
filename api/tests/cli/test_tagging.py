"""`kt-images tags`, `rename-tag`, and lists of the newest and of the untagged."""

import json

import pytest


@pytest.fixture
def three(service):
    return [service.create("a.jpg", "x"), service.create("b.jpg", "x", "Xylophone"), service.create("c.jpg")]


def test_tags_are_listed_with_the_numbers_of_their_images(cli, three):
    assert cli("tags").lines == ["2\tx", "1\tXylophone"]
    assert cli("tags", "--by-name").lines == ["1\tXylophone", "2\tx"]
    assert cli("tags", "xy").lines == ["1\tXylophone"]
    assert cli("tags", "--contains", "PHONE").lines == ["1\tXylophone"]
    assert cli("tags", "--limit", "1").lines == ["2\tx"]
    assert json.loads(cli("tags", "xy", "--json").out) == {"tag": "Xylophone", "images": 1}
    assert cli("tags", "none").out == ""


def test_a_refused_prefix_is_named(cli, three):
    result = cli("tags", "x" * 101)
    assert (result.status, result.err.split(":")[0]) == (2, "PREFIX")


def test_the_newest_and_the_untagged(cli, three):
    assert [int(line) for line in cli("list", "--ids", "--newest").lines] == three[::-1]
    assert [int(line) for line in cli("list", "--ids", "--untagged").lines] == three[2:]


def test_a_tag_is_renamed(cli, three, service):
    result = cli("rename-tag", "x", "y")
    assert (result.status, result.err) == (0, "2 images changed\n")
    assert service.tags(2) == ["Xylophone", "y"]
    assert cli("rename-tag", "x", "y").status == 4
    assert cli("rename-tag", "y", "Xylophone").status == 1
    assert service.tags(1) == ["y"]
    assert cli("rename-tag", "y", "Xylophone", "--merge").status == 0
    assert service.tags(2) == ["Xylophone"]
