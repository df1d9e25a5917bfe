"""The README tells the truth."""

from conftest import ROOT
from kt_images.application import create_app
from kt_images.base_settings import Settings, variable

README = (ROOT / "README.md").read_text()


def test_the_table_of_settings_is_that_of_the_code():
    for name, field in Settings.model_fields.items():
        value = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        default = f"`{value}`" if value else ""
        assert f"| `--{name}` | `{variable(name)}` | {default} | {field.description} |" in README


def test_every_call_is_in_it():
    for resource in create_app(Settings()).router.resources():
        url = resource.canonical.replace("{image_id}", "1").replace("{filename}", "example.jpg")
        assert url.startswith("/oas/") or f"{url}`" in README or f" {url}" in README, url


def test_the_map_names_what_there_is():
    source = ROOT / "api" / "src" / "kt_images"
    for entry in source.iterdir():
        if entry.name not in {"__init__.py", "__main__.py", "__pycache__", "py.typed", "wsgi.py"}:
            assert entry.name in README, entry.name
