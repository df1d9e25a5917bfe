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
    assert [int(line) for line in cli("list", "--ids", "--newest", "--before", three[2]).lines] == three[1::-1]
    assert [int(line) for line in cli("list", "--ids", "--after", three[0]).lines] == three[1:]
    result = cli("list", "--before", "0")
    assert (result.status, result.err.split(",")[0]) == (2, "--before: a whole number from 1 to 9223372036854775807")


def test_images_are_counted_with_the_filters_of_a_list(cli, three):
    assert cli("count").out == "3\n"
    assert cli("count", "--tag", "x", "--none", "Xylophone").out == "1\n"
    assert cli("count", "--untagged", "--before", three[2]).out == "0\n"
    assert cli("count", "--any", "x", "--json").out == '{"totalImages":2}\n'
    assert cli("count", "--tag", "x" * 101).status == 2


def test_the_untagged_can_be_changed_exported_and_deleted(cli, three, service, tmp_path):
    assert cli("export", "untagged.ndjson", "--untagged").err == "1 image exported\n"
    assert cli("get", "--untagged").status == 4  # it has no file
    assert cli("tag", "--untagged", "+new", "--yes").err == "1 of 1 changed\n"
    assert service.tags(three[2]) == ["new"]
    assert cli("rm", "--untagged", "--yes").err == "No image matches\n"
    assert cli("rm", "--after", three[1], "--dry-run").err == "1 image would be deleted\n"


def test_a_tag_is_renamed(cli, three, service):
    result = cli("rename-tag", "x", "y", "--yes")
    assert (result.status, result.err) == (0, "2 of 2 changed\n")
    assert service.tags(2) == ["Xylophone", "y"]
    assert cli("rename-tag", "x", "y").status == 4
    result = cli("rename-tag", "y", "Xylophone", "--yes")
    assert (result.status, result.err) == (1, "Images have the tag Xylophone already; --merge makes the two one\n")
    assert service.tags(1) == ["y"]
    assert cli("rename-tag", "y", "Xylophone", "--merge", "--yes").status == 0
    assert service.tags(2) == ["Xylophone"]


def test_a_tag_is_renamed_after_a_yes(cli, three, service):
    assert cli("rename-tag", "x", "y", "--dry-run").err == "x would be renamed to y on 2 images\n"
    assert cli("rename-tag", "x", "y").status == 2  # nobody is there to be asked
    for answer, status, tags in (("n\n", 1, ["x"]), ("y\n", 0, ["y"])):
        with cli.terminal("rename-tag", "x", "y") as terminal:
            terminal.read_until("Rename x to y on 2 images? [y/N] ")
            terminal.type(answer)
            assert terminal.status() == status
        assert service.tags(1) == tags


def test_a_tag_on_more_images_than_was_said_keeps_its_name(cli, three, service):
    with cli.terminal("rename-tag", "x", "y") as terminal:
        terminal.read_until("[y/N] ")
        service.create("late.jpg", "x")
        terminal.type("y\n")
        assert terminal.status() == 1
    assert service.tags(1) == ["x"]
