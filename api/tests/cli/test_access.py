"""`kt-images login`, `logout` and `keys`, against a service that wants keys."""

import json
import os
import re
import stat

import pytest

import services
from cli.conftest import Cli
from cli.stand_in import StandIn
from cli.test_running import NOBODY
from kt_images.client.keys import checksum

BODY = "kti_0aZ9Qw3x_" + "k" * 43
UNKNOWN = f"{BODY}_{checksum(BODY)}"
NO_KEY = "The service needs a key for this. Its operator makes keys; kt-images login keeps one\n"

# Keeps passwords in a file, as a backend of the library `keyring` for tests.
BACKEND = """
import json, os, pathlib
from keyring.backend import KeyringBackend

PLACE = pathlib.Path(os.environ["TEST_KEYRING"])

class Filed(KeyringBackend):
    priority = 5

    def _all(self):
        return json.loads(PLACE.read_text()) if PLACE.exists() else {}

    def set_password(self, program, name, secret):
        PLACE.write_text(json.dumps(self._all() | {name: secret}))

    def get_password(self, program, name):
        return self._all().get(name)

    def delete_password(self, program, name):
        PLACE.write_text(json.dumps({one: secret for one, secret in self._all().items() if one != name}))

class Locked(Filed):
    def set_password(self, program, name, secret):
        raise RuntimeError("locked")

    def get_password(self, program, name):
        raise RuntimeError("locked")
"""


@pytest.fixture(scope="module")
def guarded(server_dsn, folder):
    with services.running(server_dsn, folder, "guarded", KT_IMAGES_ACCESS="keys") as service:
        yield service


@pytest.fixture(scope="module")
def keys(guarded):
    scopes = (("read",), ("read", "write"), ("read", "write", "delete", "admin"), ("metrics",))
    return {one[-1]: guarded.key(*one) for one in scopes}


@pytest.fixture
def cli(guarded, tmp_path):
    return Cli(tmp_path, guarded.url)


@pytest.fixture
def keyring(cli, tmp_path):
    """Give the client a keyring; return the file of its secrets."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "filed.py").write_text(BACKEND)
    path = f"{tmp_path / 'modules'}:{os.environ.get('PYTHONPATH', '')}"
    place = tmp_path / "secrets.json"
    cli.environment |= {"PYTHON_KEYRING_BACKEND": "filed.Filed", "PYTHONPATH": path, "TEST_KEYRING": str(place)}
    return place


def kept_in(tmp_path):
    return list((tmp_path / ".config" / "kt-images" / "keys").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["show", "1", "2"],
        ["count"],
        ["tags"],
        ["tag", "1", "+a"],
        ["tag", "--tag", "a", "+b", "--yes"],
        ["rm", "1", "--yes"],
        ["rename-tag", "a", "b", "--yes"],
        ["rename", "1", "a"],
        ["get", "1"],
        ["keys", "list"],
        ["import", "-"],
        ["add", "a.png"],
    ],
    ids=" ".join,
)
def test_no_key_is_5_and_says_what_to_do(cli, picture, arguments):
    picture("a.png", 1)
    result = cli(*arguments, stdin="{}\n")
    assert (result.status, result.out) == (5, "")
    assert NO_KEY in result.err
    assert result.err.count("key for this") == 1


def test_a_key_lets_in_what_it_may_do(cli, keys):
    cli.environment["KT_IMAGES_KEY"] = f" {keys['read']}\n"
    assert cli("list").status == 0
    for command in (["import", "-"], ["tag", "--tag", "a", "+b", "--yes"], ["rm", "1", "2", "--yes"], ["keys", "list"]):
        result = cli(*command, stdin='{"filename": "a"}\n')
        assert result.status == 5
        assert "The key lacks the scope " in result.err
    cli.environment["KT_IMAGES_KEY"] = keys["write"]
    assert cli("import", "-", stdin='{"filename": "a"}\n').status == 0
    result = cli("rm", "1", "--yes")
    assert (result.status, "lacks the scope delete" in result.err) == (5, True)


def test_a_key_that_is_unknown_is_5_and_says_where_it_is(cli, tmp_path):
    cli.environment["KT_IMAGES_KEY"] = UNKNOWN
    result = cli("list")
    assert (result.status, result.out) == (5, "")
    assert result.err.endswith("; it is that in KT_IMAGES_KEY\n")
    assert "kkkk" not in result.err
    cli.environment["KT_IMAGES_KEY"] = UNKNOWN[:-1]
    result = cli("list")
    assert result.status == 2
    assert result.err.startswith("KT_IMAGES_KEY: That is no key")
    assert "kkkk" not in result.err
    cli.environment["KT_IMAGES_KEY"] = ""
    assert cli("list").err == NO_KEY


def test_a_key_is_kept_in_a_file_for_its_user_and_forgotten(cli, keys, tmp_path):
    result = cli("login", stdin=f"{keys['read']}\n")
    (file,) = kept_in(tmp_path)
    assert (result.status, result.out, result.err) == (0, "", f"The key for {cli.server} is kept in {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert json.loads(file.read_text()) == {"service": cli.server, "key": keys["read"]}
    assert cli("list").status == 0
    assert cli("list", "--server", f"{cli.server.removeprefix('http://')}/").status == 0  # the same address
    assert cli("list", "--server", cli.server.replace("127.0.0.1", "localhost")).status == 5
    assert cli("login", stdin=keys["write"]).status == 0
    assert len(kept_in(tmp_path)) == 1
    assert cli("import", "-", stdin='{"filename": "a"}\n').status == 0
    cli.environment["KT_IMAGES_KEY"] = UNKNOWN
    assert cli("list").status == 5
    assert "As long as KT_IMAGES_KEY is set" in cli("login", stdin=keys["write"]).err
    del cli.environment["KT_IMAGES_KEY"]
    assert cli("logout").status == 0
    assert kept_in(tmp_path) == []
    assert cli("list").status == 5
    assert cli("logout").err == f"No key is kept for {cli.server}\n"


def test_a_key_is_asked_for_without_an_echo(cli, keys):
    with cli.terminal("login") as terminal:
        terminal.read_until(f"Key for {cli.server}: ")
        terminal.type(f"{keys['metrics']}\n")
        assert terminal.status() == 0  # it may not list keys, and is one all the same
    assert keys["metrics"] not in terminal.text


@pytest.mark.parametrize(
    ("given", "status", "sentence"),
    [
        ("", 2, "No key was given"),
        ("\n", 2, "No key was given"),
        (UNKNOWN[:-1], 2, "That is no key"),
        (UNKNOWN.replace("kk", "kj", 1), 2, "The key is misspelt"),
        (UNKNOWN.replace("k", "\x1b", 1), 2, "That is no key"),
        (UNKNOWN, 5, "The key is not valid"),
    ],
)
def test_a_wrong_key_is_not_kept(cli, tmp_path, given, status, sentence):
    result = cli("login", stdin=given)
    assert (result.status, result.out, len(result.err.splitlines())) == (status, "", 1)
    assert result.err.startswith(sentence)
    assert "kkkk" not in result.err
    assert not (tmp_path / ".config").exists()


def test_a_key_is_no_argument(cli):
    for arguments in (["login", UNKNOWN], ["login", "--key", UNKNOWN], ["list", "--key", UNKNOWN]):
        result = cli(*arguments)
        assert result.status == 2
        assert "kkkk" not in result.err


def test_a_service_that_is_open_knows_its_keys(service, cli):
    cli.server = service.url
    assert cli("login", stdin=UNKNOWN).err == "The service has no such key; nothing was kept\n"
    assert cli("login", stdin=service.key("read")).status == 0


def test_a_key_is_kept_in_the_keyring(cli, keys, keyring, tmp_path):
    assert cli("login", stdin=keys["read"]).err == f"The key for {cli.server} is kept in the system's keyring\n"
    assert json.loads(keyring.read_text()) == {cli.server: keys["read"]}
    (file,) = kept_in(tmp_path)
    assert "kti_" not in file.read_text()
    assert cli("list").status == 0
    cli.environment["PYTHON_KEYRING_BACKEND"] = "filed.Locked"
    result = cli("list")
    assert result.status == 1
    assert result.err.endswith("is it locked?\n")
    cli.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    assert "cannot be opened" in cli("list").err
    cli.environment["PYTHON_KEYRING_BACKEND"] = "filed.Filed"
    assert cli("logout").status == 0
    assert json.loads(keyring.read_text()) == {}
    assert cli("list").err == NO_KEY


@pytest.mark.parametrize("backend", ["filed.Locked", "keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"])
def test_without_a_keyring_that_works_a_key_is_kept_in_a_file(cli, keys, keyring, tmp_path, backend):
    cli.environment["PYTHON_KEYRING_BACKEND"] = backend
    assert cli("login", stdin=keys["read"]).status == 0
    assert keys["read"] in kept_in(tmp_path)[0].read_text()
    assert cli("list").status == 0


def test_a_key_that_cannot_be_kept_is_said(cli, keys, tmp_path):
    (tmp_path / ".config").write_text("a file")
    result = cli("login", stdin=keys["read"])
    assert result.status == 1
    assert result.err.startswith("The key cannot be kept in ")


def test_without_a_home_a_key_comes_from_a_variable_alone(cli, keys, tmp_path):
    (tmp_path / "account").mkdir()
    (tmp_path / "account" / "sitecustomize.py").write_text(NOBODY)
    path = f"{tmp_path / 'account'}:{os.environ.get('PYTHONPATH', '')}"
    environment = {"PATH": os.environ["PATH"], "KT_IMAGES_SERVER": cli.server, "PYTHONPATH": path}
    assert cli("list", env=environment).err == NO_KEY
    assert cli("logout", env=environment).status == 0
    result = cli("login", env=environment, stdin=keys["read"])
    assert (result.status, result.err.startswith("There is no home folder to keep a key in")) == (1, True)
    assert cli("list", env=environment | {"KT_IMAGES_KEY": keys["read"]}).status == 0


@pytest.mark.parametrize("content", ["", "[1]", '{"key": "kti_x"}', '{"key": 7}'])
def test_a_damaged_file_is_said(cli, keys, tmp_path, content):
    assert cli("login", stdin=keys["read"]).status == 0
    kept_in(tmp_path)[0].write_text(content)
    result = cli("list")
    assert result.status in {1, 2, 5}
    assert len(result.err.splitlines()) == 1
    assert "failed:" not in result.err
    assert cli("login", stdin=keys["read"]).status == 0
    assert cli("list").status == 0


def test_a_key_in_plain_http_to_another_machine_is_warned_of_once(lonely_cli):
    lonely_cli.environment["KT_IMAGES_KEY"] = UNKNOWN
    with Away() as proxy:
        lonely_cli.environment["http_proxy"] = proxy.url
        for command in (["rm", "--tag", "a", "--yes"], ["count"]):
            err = lonely_cli(*command, "--server", "http://photos.example/pics").err
            assert err.count("The key is sent to http://photos.example/pics without encryption") == 1
        del lonely_cli.environment["KT_IMAGES_KEY"]
        assert "encryption" not in lonely_cli("count", "--server", "http://photos.example").err
        result = lonely_cli("login", "--server", "http://photos.example", stdin=UNKNOWN)
        assert "without encryption" in result.err


class Away(StandIn):
    """A proxy that says the service is away."""

    def finish_request(self, request, _address):
        request.recv(65536)
        request.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def test_keys_are_made_listed_rotated_and_revoked(cli, keys):
    cli.environment["KT_IMAGES_KEY"] = keys["admin"]
    made = cli("keys", "create", "my gallery", "--scopes", "read, write", "--expires", "90d")
    assert made.status == 0
    secret = made.out.removesuffix("\n")
    assert re.fullmatch(r"kti_\w{8}_\w{43}_\w{6}", secret)
    assert re.fullmatch(
        rf"Key {secret[4:12]} for my gallery may read, write and ends \d{{4}}-\d\d-\d\d \d\d:\d\dZ. It is shown this once:\n",
        made.err,
    )
    listed = cli("keys", "list")
    assert "kti_" not in listed.out
    row = next(line.split("\t") for line in listed.lines if line.startswith(secret[4:12]))
    assert (row[1], row[2], row[5]) == ("my gallery", "read,write", "never")
    found = [json.loads(line) for line in cli("keys", "list", "--json").lines]
    assert [key["name"] for key in found if key["id"] == secret[4:12]] == ["my gallery"]
    rotated = cli("keys", "rotate", secret[4:12], "--overlap", "1h").out.strip()
    assert rotated[:12] == secret[:12]
    for one in (secret, rotated):
        cli.environment["KT_IMAGES_KEY"] = one
        assert cli("list").status == 0
    cli.environment["KT_IMAGES_KEY"] = keys["admin"]
    assert cli("keys", "revoke", secret[4:12]).err == f"Key {secret[4:12]} is revoked\n"
    assert cli("keys", "revoke", secret[4:12]).status == 4
    with cli.terminal("keys", "list", columns=200) as terminal:
        assert terminal.status() == 0
    assert terminal.text.splitlines()[0].split() == ["ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST", "USED"]


def test_a_wrong_command_about_keys_is_explained(cli, keys):
    cli.environment["KT_IMAGES_KEY"] = keys["admin"]
    for arguments, sentence in (
        (["create", "a", "--scopes", "rad"], "--scopes: "),
        (["create", "", "--scopes", "read"], "NAME: "),
        (["create", "a", "--scopes", "read", "--expires", "soon"], "--expires: a number of s, m, h or d, as in 90d"),
        (["create", "a", "--scopes", "read", "--expires", "0s"], "--expires: "),
        (["rotate", "0aZ9Qw3x", "--overlap", "400d"], "--overlap: "),
        (["revoke", "../images/1"], "The id of a key is 8 letters and digits"),
        (["create", "a"], "Missing option '--scopes'"),
    ):
        result = cli("keys", *arguments)
        assert (result.status, result.out) == (2, ""), arguments
        assert result.err.startswith(sentence), result.err


def test_a_key_that_rotates_itself_is_told_where_to_go(cli, guarded):
    own = guarded.key("read", "admin")
    assert cli("login", stdin=own).status == 0
    result = cli("keys", "rotate", own[4:12])
    assert result.err.endswith("It is the key that you use: kt-images login keeps the new secret\n")
    assert cli("login", stdin=result.out).status == 0
    assert cli("keys", "list").status == 0
