"""Names from the service, as local paths and on a terminal."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kt_images.cli.errors import MisusedError
from kt_images.cli.layout import Layout
from kt_images.cli.names import local_name, shown
from kt_images.cli.output import as_json

HOSTILE = [
    ("../../etc/passwd", "_.._.._etc_passwd"),
    ("..", "_"),
    (".", "_"),
    ("", "_"),
    ("/etc/passwd", "_etc_passwd"),
    ("C:\\autoexec.bat", "C__autoexec.bat"),
    ("\\\\server\\share", "__server_share"),
    (".bashrc", "_.bashrc"),
    ("-rf", "_-rf"),
    ("~root", "_~root"),
    ("CON", "_CON"),
    ("nul.png", "_nul.png"),
    ("Com1 .x.png", "_Com1 .x.png"),
    ("COM¹.png", "_COM¹.png"),
    ("a.png. . ", "a.png"),
    ("a.png:stream", "a.png_stream"),
    ("\x1b[2Ja\x00\n.png", "_[2Ja__.png"),
    ("photo\u202egnp.exe", "photo_gnp.exe"),
    ('a?*<>|".png', "a______.png"),
    ("e\u0301.png", "\xe9.png"),
    ("console.png", "console.png"),
    ("море 1.JPG", "море 1.JPG"),
]


@pytest.mark.parametrize(("name", "expected"), HOSTILE)
def test_local_names(name, expected):
    assert local_name(name) == expected


@given(st.text(st.characters(exclude_categories=[])))
def test_local_name_is_a_plain_component_whatever_comes(text):
    name = local_name(text)
    assert 1 <= len(name.encode()) <= 255
    assert name not in {".", ".."}
    assert not set(name) & set("/\\:\x00\n\x1b")
    assert name[0] not in ".-~ "
    assert name[-1] not in ". "
    assert local_name(name) == name
    assert Path(name).parts == (name,)


def test_long_names_keep_their_extension():
    assert local_name("я" * 200 + ".jpeg") == "я" * 125 + ".jpeg"
    assert len(local_name("a." + "b" * 300)) == 255


@given(st.text(), st.text(), st.lists(st.text(), max_size=2))
def test_layout_stays_below_the_folder(filename, sha256, tags):
    path = Layout("{tag}/{sha256}/{id:05}-{stem}{ext}").path(7, filename, sha256, tags)
    assert len(path.parts) == 3
    assert not path.is_absolute()
    assert ".." not in path.parts


def test_layout():
    layout = Layout("{tag}/{id:04}_{stem}{ext}")
    assert layout.path(7, "a.b.png", "00", ["sea", "2024"]) == Path("sea/0007_a.b.png")
    assert layout.path(7, "plain", "00", []) == Path("untagged/0007_plain")


@pytest.mark.parametrize(
    "pattern", ["", "/{id}", "a//{id}", "../{id}", "{id}/..", "{id", "{}", "{id.real}", "{id:x y}"]
)
def test_layouts_that_are_refused(pattern):
    with pytest.raises(MisusedError):
        Layout(pattern)


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_shown_has_no_control_characters(text):
    assert shown(text).encode().decode() == shown(text)
    assert not any(c < " " or "\x7f" <= c < "\xa0" for c in shown(text))


@given(st.text())
def test_json_is_the_same_json_when_shown(text):
    assert json.loads(shown(json.dumps([text], ensure_ascii=False))) == [text]


@given(st.text(st.characters(codec="utf-8")))
@example("\x7f")
@example("a\nb\r\x1b")
@example("море\u2028")
def test_a_line_of_json_has_no_character_that_a_terminal_might_obey(text):
    line = as_json([{"text": text}] * 2)
    assert line == "".join(f"{shown(one)}\n" for one in line.split("\n")[:-1])
    assert [json.loads(one) for one in line.split("\n")[:-1]] == [{"text": text}] * 2
