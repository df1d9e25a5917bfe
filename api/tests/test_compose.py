"""docker-compose.yml, api/Dockerfile and the settings know the same service."""

import re
from pathlib import Path

import pytest
import yaml
from psycopg2.extensions import parse_dsn

from kt_images.base_settings import Settings, variable

ROOT = Path(__file__).parents[2]
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def image():
    """What the Dockerfile's ENV lines set."""
    lines = re.findall(r"^ENV (.*)", (ROOT / "api/Dockerfile").read_text(), re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def test_the_services_and_their_ports_are_those_of_the_readme(services):
    assert {name: service["ports"] for name, service in services.items()} == {"db": ["5432:5432"], "api": ["8080:8080"]}
    assert DEFAULTS["port"] == 8080


def test_every_variable_is_a_setting(services, image):
    known = {variable(name) for name in DEFAULTS}
    assert {*services["api"]["environment"], *image} <= known


def test_the_service_knows_the_database_by_its_name_and_password(services):
    database = services["db"]["environment"]
    assert parse_dsn(services["api"]["environment"]["POSTGRES_DSN"]) == {
        "host": "db",
        "dbname": database["POSTGRES_DB"],
        "user": database["POSTGRES_USER"],
        "password": database["POSTGRES_PASSWORD"],
    }


def test_what_is_stored_outlives_the_containers_and_is_not_that_of_make_run(services, image):
    folders = dict(volume.split(":") for service in services.values() for volume in service["volumes"])
    assert set(folders.values()) == {"/var/lib/postgresql/data", image["KT_IMAGES_UPLOADS_DIR"]}
    assert all(folder.startswith("./data/") for folder in folders)
    assert not {Path(folder) for folder in folders} & {DEFAULTS["database_dir"], DEFAULTS["uploads_dir"]}


def test_the_image_has_the_client_and_all_files_that_it_copies_reach_the_build():
    dockerfile, api = (ROOT / "api/Dockerfile").read_text(), ROOT / "api"
    assert "['optional-dependencies']['cli']" in dockerfile
    allowed = {line[1:] for line in (api / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()}
    assert copied == allowed
    assert all((api / name).exists() for name in copied)


def test_a_decoder_that_is_taken_over_finds_little_to_take(services):
    api = services["api"]
    assert api["read_only"]
    assert (api["cap_drop"], set(api["cap_add"])) == (["ALL"], {"CHOWN", "SETGID", "SETUID", "DAC_OVERRIDE"})
    assert api["security_opt"] == ["no-new-privileges:true"]
    assert api["pids_limit"] >= 256
    assert not api.get("privileged")


def test_a_stop_waits_for_the_requests_in_flight(services):
    assert int(services["api"]["stop_grace_period"].removesuffix("s")) > DEFAULTS["grace_period"]
