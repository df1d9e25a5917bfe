"""What whoever starts the service is told."""

import pytest

from kt_images.base_settings import Settings
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
    assert shown.startswith("kt-images serves on http://127.0.0.1:PORT;")
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
    assert ("kt_images.manage.keys create NAME --scopes" in line) == (access == "open")
