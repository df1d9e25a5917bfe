"""`kt-images tag` and `kt-images rm`."""

import time

import pytest


@pytest.fixture
def three(service):
    return [service.create("a.jpg", "x"), service.create("b.jpg", "x", "y"), service.create("c.jpg", "z")]


def test_tags_are_added_and_removed(cli, service, three):
    assert cli("tag", 1, 2, "+new tag", "-x", "+-odd", "--remove", "y", "--add", "+plus").status == 0
    assert service.tags(1) == ["new tag", "-odd", "+plus"]
    assert service.tags(2) == ["new tag", "-odd", "+plus"]
    assert service.tags(3) == ["z"]


def test_ids_come_from_a_pipe(cli, service, three):
    listed = cli("list", "--ids", "--tag", "x").out
    result = cli("tag", "-", "+piped", stdin=listed)
    assert (result.status, result.err) == (0, "2 of 2 changed\n")
    assert service.tags(2) == ["x", "y", "piped"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["tag", "-", "+a"],
        ["tag", "-", "+a", "--dry-run"],
        ["rm", "-"],
        ["rm", "-", "--yes"],
        ["get", "-"],
        ["show", "-"],
    ],
    ids=" ".join,
)
def test_no_ids_from_a_pipe_is_nothing_to_do(lonely_cli, arguments):
    result = lonely_cli(*arguments, stdin="\n")
    assert (result.status, result.out, result.err) == (0, "", "No ids were given\n")


@pytest.mark.parametrize("arguments", [["tag", "+a", "--yes"], ["get"]], ids=" ".join)
def test_filters_that_no_image_matches_are_nothing_to_do(cli, three, arguments):
    result = cli(*arguments, "--all", "no")
    assert (result.status, result.out, result.err) == (0, "", "No image matches\n")


def test_an_id_that_is_given_twice_counts_once(cli, service, three):
    result = cli("rm", 3, 1, "-", "--yes", stdin="1 3 3")
    assert (result.status, result.err) == (0, "2 of 2 images deleted\n")
    assert [image["image_id"] for image in service.images()] == [2]


@pytest.mark.parametrize(
    ("ids", "question"), [([1], "Delete 1 image and its files?"), ([1, 2], "Delete 2 images and their files?")]
)
def test_rm_asks_for_as_many_as_there_are(cli, three, ids, question):
    with cli.terminal("rm", *ids) as terminal:
        terminal.read_until(f"{question} [y/N] ")
        terminal.type("n\n")
        assert terminal.status() == 1


def test_a_malformed_id_in_a_pipe_is_reported_before_anything_is_done(cli, service, three):
    result = cli("tag", "-", "+a", stdin="1\nrm -rf\n")
    assert (result.status, result.err) == (2, "'rm' is not the id of an image; ids are numbers\n")
    assert service.tags(1) == ["x"]


def test_every_image_that_matches_is_tagged_after_a_yes(cli, service, three):
    with cli.terminal("tag", "--all", "x", "+a", "-y") as terminal:
        terminal.read_until("Tag 2 images +a -y? [y/N] ")
        terminal.type("y\n")
        assert terminal.status() == 0
    assert [service.tags(image_id) for image_id in three] == [["x", "a"], ["x", "a"], ["z"]]


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_nothing_is_tagged_without_a_yes(cli, service, three, answer):
    with cli.terminal("tag", "--all", "x", "+a") as terminal:
        terminal.read_until("[y/N] ")
        terminal.type(answer)
        assert terminal.status() == 1
    assert service.tags(1) == ["x"]


def test_ctrl_c_at_the_question_is_130(cli, service, three):
    with cli.terminal("rm", "1") as terminal:
        terminal.read_until("Delete 1 image and its files? [y/N] ")
        time.sleep(0.3)  # between its question and its reading, the signal would be noticed only after the answer
        terminal.process.send_signal(2)
        assert terminal.status() == 130
    assert len(service.images()) == 3


def test_dry_run_counts_and_does_nothing(cli, service, three):
    assert cli("tag", "--any", "x", "--any", "z", "+a", "--dry-run").err == "3 images would be tagged +a\n"
    assert cli("rm", 1, 2, "--dry-run").err == "2 images would be deleted\n"
    assert service.tags(1) == ["x"]


def test_tagging_what_it_lists_by_changes_each_once(cli, service):
    service.sql("insert into images (filename, tags) select 'a.jpg', '{old}' from generate_series(1, 300)")
    result = cli("tag", "--tag", "old", "-old", "+new", "--yes")
    assert (result.status, result.err) == (0, "300 of 300 changed\n")
    assert {tuple(image["tags"]) for image in service.images()} == {("new",)}


def test_rm_deletes_what_matches_after_a_yes(cli, service, three):
    assert cli("rm", "--tag", "x", "--dry-run").err == "2 images would be deleted\n"
    assert cli("rm", "--tag", "no", "--yes").err == "No image matches\n"
    assert cli("rm", "--tag", "x").status == 2
    for words in ([], [1, "--tag", "x"]):
        assert cli("rm", *words, "--yes").status == 2
    assert len(service.images()) == 3
    with cli.terminal("rm", "--tag", "x") as terminal:
        terminal.read_until("Delete 2 images and their files? [y/N] ")
        terminal.type("y\n")
        assert terminal.status() == 0
    assert "2 of 2 images deleted" in terminal.text
    assert [image["image_id"] for image in service.images()] == [3]


@pytest.mark.parametrize("arguments", [["rm"], ["tag", "+new"]])
def test_what_was_asked_about_is_what_is_done(cli, service, three, arguments):
    with cli.terminal(*arguments, "--tag", "x") as terminal:
        terminal.read_until("2 images")
        service.create("late.jpg", "x")
        terminal.type("y\n")
        assert terminal.status() == 1
    assert [image["tags"] for image in service.images()] == [["x"], ["x", "y"], ["z"], ["x"]]


def test_images_that_would_have_too_many_tags_are_named(cli, service):
    service.create("a.jpg", "x", *map(str, range(63)))
    service.create("b.jpg", "x")
    result = cli("tag", "--tag", "x", "+new", "--yes")
    assert result.status == 1
    assert result.err == "Image <1>: The image would have more than 64 tags\n1 of 2 changed\n"


def test_rm_deletes(cli, service, three):
    result = cli("rm", 1, "-", "--yes", stdin="3 99")
    assert result.status == 1
    assert result.err.splitlines() == ["Image <99> is not found", "2 of 3 images deleted"]
    assert [image["image_id"] for image in service.images()] == [2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([1, "-x-y"], "0 of 1 changed: it has no tag x-y"),
        ([1, "+x"], "0 of 1 changed: it already has the tag x"),
        ([1, "+x", "-y"], "0 of 1 changed: it has no tag y, it already has the tag x"),
        ([1, "+new", "-y"], "1 of 1 changed; it has no tag y"),
        ([1, 2, 3, "-y"], "1 of 3 changed; 2 have no tag y"),
        ([1, 2, 3, "-x"], "2 of 3 changed; 1 has no tag x"),
        ([1, 2, "-x"], "2 of 2 changed"),
        ([1, 2, "+x"], "0 of 2 changed: 2 already have the tag x"),
    ],
)
def test_tag_reports_what_changed_and_what_did_not(cli, three, arguments, sentence):
    result = cli("tag", *arguments)
    assert (result.status, result.err) == (0, f"{sentence}\n")


def test_tags_are_compared_as_the_service_compares_them(cli, service):
    service.create("a.jpg", "\xe9")
    assert cli("tag", 1, "+ e\u0301 ").err == "0 of 1 changed: it already has the tag  e\u0301 \n"
    assert cli("tag", 1, "-e\u0301").err == "1 of 1 changed\n"


def test_an_image_is_renamed(cli, service, three):
    result = cli("rename", 1, "new name.jpg")
    assert (result.status, result.out, result.err) == (0, "", "Image <1> is now named new name.jpg\n")
    assert service.json("/images/1")["filename"] == "new name.jpg"
    assert cli("rename", 99, "a.jpg").status == 4
    for refused in ("a/b.jpg", ""):
        result = cli("rename", 1, refused)
        assert result.status == 2
        assert result.err.startswith("NAME: A filename is 1 to 255 bytes")


@pytest.mark.parametrize("arguments", [["rm", "1"], ["tag", "--all", "x", "+a"]])
def test_a_confirmation_needs_a_terminal(cli, service, three, arguments):
    result = cli(*arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err == f"{arguments[0]} needs a confirmation and input is not a terminal; add --yes\n"
    assert len(service.images()) == 3


@pytest.mark.parametrize(("arguments", "title"), [(["tag", "+b"], "Tagging"), (["rm"], "Deleting")])
def test_progress_on_a_terminal_counts_images(cli, service, arguments, title):
    service.sql("insert into images (filename, tags) select 'a.jpg', '{a}' from generate_series(1, 50)")
    with cli.terminal(
        arguments[0], *range(1, 51), *arguments[1:], *(["--yes"] if title == "Deleting" else [])
    ) as terminal:
        assert terminal.status() == 0
    for wanted in (title, "0/50", "50/50", "50 of 50"):
        assert wanted in terminal.text
    assert "bytes" not in terminal.text
