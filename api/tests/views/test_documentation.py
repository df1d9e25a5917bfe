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


def test_every_call_has_a_name_that_a_generated_client_can_use():
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z0-9]+)*", name) for name in names)


def test_long_descriptions_are_whole():
    listing = operations()["get /images"]
    assert listing["summary"] == "List images by image_id, as a stream"
    assert "a list without them is incomplete" in listing["description"]
    assert "application/x-ndjson" in listing["description"]


def test_limits_of_numbers_are_written_as_json_schema_writes_them():
    parameters = [one["schema"] for operation in operations().values() for one in operation.get("parameters", [])]
    assert not any({"ge", "le", "gt", "lt"} & set(schema) for schema in parameters)
    numbers = [schema for schema in parameters if schema.get("format") == "int64"]
    assert numbers
    assert all({"minimum", "maximum"} <= set(schema) for schema in numbers)


def test_no_default_is_published_that_a_browser_would_round():
    for operation in operations().values():
        for parameter in operation.get("parameters", []):
            assert parameter["schema"].get("default") in {None, 0, "create", "oldest", "name"}, parameter["name"]


@pytest.mark.parametrize(
    "example", operations()["patch /images/{image_id}"]["requestBody"]["content"]["application/json"]["examples"].values()
)  # fmt: skip
async def test_every_example_of_a_change_can_be_sent_as_it_is(client, example):
    await client.post("/images", json={"filename": "a.jpg", "tags": ["todo"]})
    answer = await client.patch("/images/1", json=example["value"])
    assert answer.status == 200, await answer.text()


@pytest.mark.parametrize(
    "example", operations()["post /images"]["requestBody"]["content"]["application/json"]["examples"].values()
)
async def test_every_example_of_a_new_image_can_be_sent_as_it_is(client, example):
    assert (await client.post("/images", json=example["value"])).status == 201


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
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "img-src 'self' data: blob:" in policy


async def test_the_front_door_leads_to_the_page(client):
    answer = await client.get("/", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/oas")
