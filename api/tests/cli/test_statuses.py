"""The exit statuses, and the one sentence beside them."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest


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


def test_a_refusal_is_reported_in_the_services_words(cli, service):
    image_id = service.create("a.jpg")
    result = cli("tag", image_id, "+" + "x" * 101)
    assert result.status == 1
    assert result.err.startswith("+TAG: A tag is 1 to 100 characters")


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
