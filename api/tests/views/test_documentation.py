"""The OpenAPI document: true, valid, complete, and shown without anything from elsewhere."""

import json
import re
import subprocess
import sys
from importlib import metadata

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from conftest import ROOT

DOCUMENT = json.loads((ROOT / "openapi.json").read_text())


def operations():
    return {f"{method} {path}": one for path, item in DOCUMENT["paths"].items() for method, one in item.items()}


def test_the_file_is_what_the_command_prints():
    command = [sys.executable, "-W", "error", "-m", "aiohttp_pydantic.oas", "kt_images.wsgi:app"]
    for _ in range(2):  # sets iterate differently in each process
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
        assert (ROOT / "openapi.json").read_text() == printed.stdout, "run: make openapi"


async def test_the_service_gives_the_same_document(client):
    assert await (await client.get("/oas/spec")).json() == DOCUMENT


def test_the_document_is_valid_openapi_3_1_of_ours():
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["title"] == "kt-images"
    assert DOCUMENT["info"]["version"] == metadata.version("kt-images")


def test_the_list_s_schema_shows_its_totals():
    items = DOCUMENT["components"]["schemas"]["ImageList"]["items"]["anyOf"]
    assert items == [
        {"type": "array", "items": {"$ref": "#/components/schemas/Image"}},
        {"$ref": "#/components/schemas/Totals"},
    ]
    assert set(DOCUMENT["components"]["schemas"]["Totals"]["properties"]) == {"totalImages", "totalChunks"}


@pytest.mark.parametrize("operation", operations().values(), ids=operations())
def test_everything_is_described(operation):
    assert operation["summary"]
    for parameter in operation.get("parameters", []):
        assert parameter["description"] or parameter["schema"]["description"], parameter["name"]
    for status, answer in operation["responses"].items():
        assert answer["description"], status


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_field_is_described(name):
    for field, schema in DOCUMENT["components"]["schemas"][name].get("properties", {}).items():
        assert schema.get("description"), field


async def test_the_page_loads_only_what_the_service_ships(client):
    page = await client.get("/oas")
    assert (page.status, page.content_type) == (200, "text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', await page.text())
    files = [url for url in loaded if not url.startswith("data:")]
    assert files
    for url in files:
        answer = await client.get(url)
        assert answer.status == 200, url
        assert await answer.read()
    assert "'self'" in page.headers["Content-Security-Policy"]
