"""The exit statuses, and the one sentence beside them."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from cli.stand_in import StandIn


def assert_one_sentence(text):
    assert len(text.splitlines()) == 1
    assert text.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ["lst"],
        ["list", "--tagg", "a"],
        ["list", "--limit", "0"],
        ["list", "--json", "--ids"],
        ["show"],
        ["show", "x"],
        ["show", "0"],
        ["show", "9223372036854775808"],
        ["show", "\uff11"],
        ["show", "1", "--server", "ftp://example.org"],
        ["tag", "1"],
        ["tag", "1", "--dryrun", "+a"],
        ["tag", "1", "--all", "b", "+a"],
        ["tag", "+a"],
        ["get"],
        ["get", "1", "--layout", "{nothing}"],
        ["get", "1", "--layout", "../{id}"],
        ["get", "1", "--layout", "/{id}"],
        ["get", "1", "--layout", "same"],
        ["add"],
        ["add", "."],
        ["rm", "1"],  # nobody is there to be asked
        ["completion", "tcsh"],
    ],
    ids=" ".join,
)
def test_wrong_command_line_is_2(lonely_cli, arguments):
    result = lonely_cli(*arguments)
    assert result.status == 2
    assert result.out == ""
    assert_one_sentence(result.err)


@pytest.mark.parametrize("arguments", [["list"], ["show", "1"], ["rm", "1", "--yes"], ["tag", "--all", "a", "+b"]])
def test_no_service_is_3_at_once(lonely_cli, arguments):
    before = time.monotonic()
    result = lonely_cli(*arguments)
    assert result.status == 3
    assert "The service at http://127.0.0.1:1 cannot be reached: Connection refused" in result.err
    assert time.monotonic() - before < 10


def test_no_such_host_is_3(lonely_cli):
    result = lonely_cli("list", "--server", "http://nowhere.invalid")
    assert result.status == 3
    assert_one_sentence(result.err)


def test_password_in_the_address_is_not_shown(lonely_cli):
    result = lonely_cli("list", "--server", "http://me:secret@127.0.0.1:1")
    assert result.status == 3
    assert "secret" not in result.err


def test_not_found_is_4_in_the_services_words(cli):
    assert (cli("show", "22").status, cli("show", "22").err) == (4, "Image <22> is not found\n")
    assert cli("rm", "22", "--yes").status == 4
    assert cli("tag", "22", "+a").status == 4
    assert cli("open", "22", "--print").status == 4


def test_some_failed_is_1_and_the_others_are_done(cli, service):
    image_id = service.create("a.jpg")
    result = cli("tag", "22", image_id, "+a")
    assert result.status == 1
    assert result.err.splitlines() == ["Image <22> is not found", "1 of 2 changed"]
    assert service.tags(image_id) == ["a"]


@pytest.mark.parametrize("words", [["+" + "x" * 101], ["--add", ""]])
def test_a_refusal_is_reported_in_the_services_words(cli, service, words):
    image_id = service.create("a.jpg")
    result = cli("tag", image_id, *words)
    assert result.status == 1
    assert result.err.startswith("+TAG or --add: A tag is 1 to 100 characters")


def test_another_service_is_told_apart(lonely_cli):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with lonely_cli.start("show", "1", "--server", f"127.0.0.1:{port}") as process:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"does not answer like kt-images; is the address right?" in err


def test_ctrl_c_is_130_and_quiet(cli, service):
    service.sql("insert into images (filename, tags) select 'a.jpg', '{a}' from generate_series(1, 100000)")
    with cli.start("list") as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b""


def test_ctrl_c_while_the_service_does_not_answer_is_130_and_quiet(lonely_cli):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with lonely_cli.start("show", "1", "--server", f"127.0.0.1:{listener.getsockname()[1]}") as process:
            connection, _ = listener.accept()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        connection.close()
    assert (process.returncode, err) == (130, b"")


def test_full_output_is_an_error(cli, service):
    service.create("a.jpg")
    with Path("/dev/full").open("wb") as full, cli.start("list", stdout=full) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err == b"Standard output cannot be written: No space left on device\n"


def test_closed_output_is_no_error(cli, service):
    service.create("a.jpg")
    with cli.start("list", stdout=None, preexec_fn=lambda: os.close(1)) as process:
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")


BIG = "9223372036854775808"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["completion"], "Missing argument 'bash|zsh|fish|powershell' (see kt-images completion --help)"),
        (["completion", "tcsh"], "There is no completion for 'tcsh', only for bash, zsh, fish, powershell"),
        (
            ["list", "beach", "dark"],
            "list takes no arguments; to list images by their tags: kt-images list --tag beach --tag dark",
        ),
        (["list", "--tag"], "Option '--tag' requires an argument (see kt-images list --help)"),
        (["list", "--limit", "0"], "--limit: a whole number from 1 on, not '0'"),
        (["list", "--limit", "abc"], "--limit: a whole number from 1 on, not 'abc'"),
        (["list", "--limit", "1_0"], "--limit: a whole number from 1 on, not '1_0'"),
        (["get", "1", "--jobs", "65"], "--jobs: a whole number from 1 to 64, not '65'"),
        (["get", "1", "--retry", "-1"], "--retry: a number of seconds from 0 on, not '-1'"),
        (["get", "1", "--retry", "nan"], "--retry: a number of seconds from 0 on, not 'nan'"),
        (["show", BIG], f"{BIG} is not the id of an image; ids start at 1 and go up to 9223372036854775807"),
        (["show", "0"], "0 is not the id of an image; ids start at 1 and go up to 9223372036854775807"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_explained_in_plain_words(lonely_cli, arguments, sentence):
    result = lonely_cli(*arguments)
    assert (result.status, result.out, result.err) == (2, "", f"{sentence}\n")


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "1"], ["show", "1", "2"], ["rm", "1", "--yes"], ["rename", "1", "a.jpg"]]
)
def test_a_service_that_breaks_the_connection_is_3(lonely_cli, arguments):
    """It closes each connection, or speaks another protocol."""
    with Mute() as mute:
        result = lonely_cli(*arguments, "--server", mute.url)
    assert result.status == 3
    assert f"The connection to {mute.url} broke" in result.err


class Mute(StandIn):
    """Reads a request and closes the connection."""

    def finish_request(self, request, _address):
        request.recv(65536)
