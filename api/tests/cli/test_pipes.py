"""Pipes that close, and what else a shell does."""

import subprocess

import pytest

MANY = "insert into images (filename, tags) select 'a.jpg', '{a}' from generate_series(1, 100000)"


@pytest.mark.parametrize("form", [[], ["--json"], ["--ids"]])
def test_closed_pipe_is_quiet(cli, service, form):
    service.sql(MANY)
    with cli.start("list", *form) as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(30) == 0
    assert err == b""


def test_help_into_a_closed_pipe_is_quiet(lonely_cli):
    with lonely_cli.start("--help") as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_client_into_client(cli, service):
    """The shell's own way: `kt-images list --ids --tag x | kt-images tag - +y`."""
    for number in range(5):
        service.create(f"{number}.jpg", "x" if number % 2 else "z")
    with cli.start("list", "--ids", "--tag", "x") as first:
        with cli.start("tag", "-", "+y", stdin=first.stdout, stderr=subprocess.DEVNULL) as second:
            assert second.wait(30) == 0
        assert first.wait(30) == 0
    assert [image["image_id"] for image in service.images() if "y" in image["tags"]] == [2, 4]
