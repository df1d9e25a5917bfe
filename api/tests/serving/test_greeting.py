"""What whoever starts the service is told."""

import asyncio
import json
import os
import shutil
import sys

import pytest

from kt_images.base_settings import Access, Settings
from kt_images.serving import sockets
from kt_images.serving.greeting import greet


@pytest.fixture
def greeting(capsys):
    def of(**settings):
        chosen = Settings(port=0, **settings)
        (place,) = sockets.bind(chosen.host, chosen.port)
        greet(chosen, place)
        port = place[0].getsockname()[1]
        for one in place:
            one.close()
        return capsys.readouterr().out.replace(str(port), "PORT")

    return of


def test_by_default_it_listens_on_this_machine_alone_and_need_not_warn(greeting):
    shown = greeting()
    assert shown.startswith("kt-images serves on http://127.0.0.1:PORT; open it in a browser.")
    assert "http://127.0.0.1:PORT/oas documents the API" in shown
    assert "listens" not in shown


@pytest.mark.parametrize(
    ("access", "words"),
    [
        ("open", "whoever reaches that may read, change and delete everything"),
        ("keys-to-write", "a key is required to change anything (KT_IMAGES_ACCESS=keys-to-write)"),
        ("keys", "a key is required for everything (KT_IMAGES_ACCESS=keys)"),
    ],
)
def test_beyond_this_machine_it_says_in_one_line_where_it_listens_and_who_may_call(greeting, access, words):
    (line,) = [line for line in greeting(host="0.0.0.0", access=access).splitlines() if "listens" in line]
    assert "0.0.0.0:PORT" in line
    assert words in line
    assert "kt_images.manage.keys create NAME --scopes" in line


@pytest.mark.parametrize("access", ["keys-to-write", "keys"])
def test_on_this_machine_alone_it_says_that_a_key_is_required(greeting, access):
    shown = greeting(access=access)
    assert f"(KT_IMAGES_ACCESS={access}). Make one by python3 -m kt_images.manage.keys create" in shown
    assert "listens" not in shown


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("changes", [{}, {"access": "keys"}, {"base_path": "/pics"}])
async def test_its_example_works_as_printed(greeting, serve, changes, dsn):
    client = await serve(**{**changes, "access": Access(changes.get("access", "open"))})
    example = greeting(**changes).split("\n  ")[1].splitlines()[0]
    command = example.replace("127.0.0.1:PORT", f"127.0.0.1:{client.port}")
    environment = {**os.environ}
    if "access" in changes:
        created = [sys.executable, "-m", "kt_images.manage.keys", "--postgres_dsn", dsn, "create", "greeted"]
        environment["KT_IMAGES_KEY"] = await output(*created, "--scopes", "write")
    answer = json.loads(await output("sh", "-c", f"{command} -s -S --noproxy '*'", environment=environment))
    assert answer["filename"] == "example.jpg"


async def output(*command, environment=None):
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()
