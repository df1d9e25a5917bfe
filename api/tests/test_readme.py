"""The README and the pages below api/docs/ tell the truth."""

import asyncio
import os
import re
import shutil
import tomllib

import pytest

import kt_images
from conftest import ROOT
from kt_images.application import create_app
from kt_images.base_settings import Settings, variable
from pictures import JPEG

README, DOCS = ROOT / "README.md", ROOT / "api" / "docs"
PAGES = [
    *ROOT.glob("*.md"),
    ROOT / "data" / "README.md",
    ROOT / "api" / "benchmarks" / "README.md",
    *DOCS.rglob("*.md"),
]

SESSIONS = re.findall(r"^```console\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
CURLS = [step.partition("\n") for session in SESSIONS for step in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]]


def routes():
    """All calls of the service, such as `GET /images`."""
    for route in create_app(Settings()).router.routes():
        path = route.resource.canonical
        if route.method == "*":
            methods = ("get", "post", "put", "patch", "delete")
            yield from (f"{method.upper()} {path}" for method in methods if hasattr(route.handler, method))
        elif route.method == "GET" and (not path.startswith("/oas/") or path == "/oas/spec"):
            yield f"GET {path}"


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) < 200


@pytest.mark.parametrize("page", [README, DOCS / "api.md"], ids=lambda page: page.name)
def test_the_tables_have_the_calls_that_exist_and_no_others(page):
    documented = set(re.findall(r"^\| `([A-Z]+ /[^?`]*)[?`]", page.read_text(), re.MULTILINE))
    assert documented == set(routes())


def test_the_project_says_what_it_is_in_the_same_sentence_everywhere():
    sentence = kt_images.__doc__.partition("\n")[0]
    project = tomllib.loads((ROOT / "api" / "pyproject.toml").read_text())["project"]
    assert README.read_text().split("\n\n")[1] == sentence
    assert (project["description"], project["readme"]["text"].partition("\n")[0]) == (sentence, sentence)


def test_the_table_of_settings_is_that_of_the_code():
    rows = []
    for name, field in Settings.model_fields.items():
        value = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        default = f"`{value}`" if value else ""
        rows.append(f"| `--{name}` | `{variable(name)}` | {default} | {field.description} |")
    assert re.findall(r"^\| `--.*", (DOCS / "operating.md").read_text(), re.MULTILINE) == rows


def test_the_map_is_that_of_the_tree_and_stands_in_two_places():
    drawing, lines = kt_images.__doc__.split("\n\n")[1:3]
    named = {name for line in lines.splitlines() for name in re.split(r"\s\s", line)[0].split(", ")}
    tree = {entry.stem for entry in (ROOT / "api" / "src" / "kt_images").iterdir()}
    assert named == tree - {"__init__", "__pycache__", "py"}
    assert f"```\n{drawing}\n\n{lines}\n```" in (DOCS / "architecture.md").read_text()


def test_the_map_of_the_gallery_is_that_of_its_files():
    drawing = (DOCS / "gallery.md").read_text().split("```\n")[1]
    named = [name for line in drawing.splitlines() for name in re.split(r"\s\s", line)[0].split(", ") if name]
    files = (ROOT / "api" / "src" / "kt_images" / "gallery" / "static").iterdir()
    assert sorted(named) == sorted(file.name for file in files)


def test_the_keys_of_the_gallery_are_those_of_its_parts():
    page = (DOCS / "gallery.md").read_text()
    for file in (ROOT / "api" / "src" / "kt_images" / "gallery" / "static").glob("*.js"):
        for key in " ".join(re.findall(r'{ keys: "([^"]+)"', file.read_text())).split():
            assert (f"`{key}`" if len(key) == 1 else key) in page, file.name


def anchors(page):
    """The places of a page that a link can name, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith(("http:", "https:")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_each_curl_of_the_readme_answers_as_shown(client, tmp_path):
    """On a service without any image; `…` stands for anything."""
    shutil.copy(JPEG, tmp_path / "photo.jpg")
    here = str(client.make_url("/")).rstrip("/")
    assert len(CURLS) >= 10
    for command, _, shown in CURLS:
        words = command.replace("http://localhost:8080", here).replace("curl ", "curl --silent --noproxy '*' ", 1)
        process = await asyncio.create_subprocess_shell(
            words, stdout=asyncio.subprocess.PIPE, cwd=tmp_path, env={"PATH": os.environ["PATH"]}
        )
        said, _ = await process.communicate()
        pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
        answer = said.decode().replace("\r\n", "\n").strip()
        assert re.fullmatch(pattern, answer, re.DOTALL), f"{command}\n{answer}"
    assert (tmp_path / "copy.jpg").read_bytes() == JPEG.read_bytes()
