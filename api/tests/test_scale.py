"""The files of api/deploy for many machines: each is valid, and they know the same service as the others."""

import os
import re
import socket
import subprocess

import pytest
import yaml

import cluster
from cluster import DEPLOYED, find
from conftest import ROOT
from kt_images.base_settings import Settings, variable

COMPOSE = (DEPLOYED / "docker-compose.scale.yml").read_text()
PATRONI = (DEPLOYED / "scale" / "patroni.yml").read_text()
DOCS = ROOT / "api" / "docs"
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(VARIABLE.sub(r"\2", COMPOSE))["services"]


def test_the_variables_are_those_of_the_pages_for_operators():
    pages = "".join((DOCS / name).read_text() for name in ("operating.md", "scaling.md"))
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^`|]*?)`? \|", pages, re.MULTILINE))
    used = dict(VARIABLE.findall(COMPOSE))
    assert used == {name: documented.get(name) for name in used}


def test_files_that_are_mounted_or_built_are_there(services):
    mounted = {volume.split(":")[0] for one in services.values() for volume in one.get("volumes", [])}
    built = {one["build"]["context"] for one in services.values() if "build" in one}
    assert all((ROOT / path).exists() for path in mounted if path.startswith("./"))
    assert all((ROOT / path / "Dockerfile").exists() for path in built)


def test_each_server_is_known_by_its_name_and_to_the_service(services):
    servers = [name for name in services if name.startswith("db-")]
    assert (
        f"host={','.join(servers)} target_session_attrs=read-write" in services["api-1"]["environment"]["POSTGRES_DSN"]
    )
    for name in servers:
        environment = services[name]["environment"]
        assert environment["PATRONI_NAME"] == name
        assert environment["PATRONI_POSTGRESQL_CONNECT_ADDRESS"] == f"{name}:5432"
        (volume,) = services[name]["volumes"]
        assert yaml.safe_load(PATRONI)["postgresql"]["data_dir"].startswith(volume.split(":")[1])


def test_every_variable_of_the_service_is_a_setting(services):
    settings = {variable(name) for name in Settings.model_fields} | {"PGPASSWORD"}
    environment = services["api-1"]["environment"]
    assert {name for name in environment if not name.startswith("AWS_")} <= settings
    assert environment == services["api-2"]["environment"]
    store, bucket = environment["KT_IMAGES_STORE"], services["bucket"]["environment"]
    assert store.startswith(f"s3://{bucket['BUCKET_NAME']}/")
    assert environment["AWS_ACCESS_KEY_ID"] == bucket["BUCKET_KEY"]
    assert environment["AWS_SECRET_ACCESS_KEY"] == bucket["BUCKET_SECRET"]


def test_nginx_knows_each_service_by_its_address(services):
    addresses = [one["networks"]["calls"]["ipv4_address"] for name, one in services.items() if name.startswith("api-")]
    assert services["web"]["environment"]["KT_IMAGES_SERVERS"] == " ".join(f"{one}:8080" for one in addresses)


def test_the_configuration_of_nginx_for_several_services_is_valid(tmp_path):
    environment = {**os.environ, "KT_IMAGES_SERVERS": "10.0.0.1:8080 10.0.0.2:8080"}
    command = ["sh", DEPLOYED / "scale" / "web.sh", DEPLOYED / "nginx", tmp_path]
    subprocess.run(command, env=environment, check=True, timeout=20)
    made = (tmp_path / "kt-images.conf").read_text()
    for place in ("10.0.0.1:8080", "10.0.0.2:8080"):
        assert f"server {place} max_fails=1 fail_timeout=2s;" in made
    assert "api:8080" not in made
    assert made.count("proxy_connect_timeout") == 1
    if nginx := find("nginx"):
        (tmp_path / "kt-images.conf").write_text(made.replace("/tmp/", f"{tmp_path}/"))
        process = tmp_path / "nginx.conf"
        process.write_text(process.read_text().replace("/tmp/", f"{tmp_path}/").replace("16384", "2048"))
        tried = subprocess.run(
            [nginx, "-t", "-e", "stderr", "-c", process], capture_output=True, text=True, check=False
        )
        assert tried.returncode == 0, tried.stderr


@pytest.mark.skipif(not (find("patroni") and cluster.newest_postgresql()), reason="there is no patroni here")
def test_the_configuration_of_patroni_is_valid(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as etcd:
        variables = {
            "PATRONI_NAME": "db-1",
            "PATRONI_ETCD3_HOSTS": f"'127.0.0.1:{etcd.getsockname()[1]}'",
            "PATRONI_POSTGRESQL_LISTEN": "127.0.0.1:1",
            "PATRONI_RESTAPI_LISTEN": "127.0.0.1:2",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": "db-1:5432",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": "db-1:8008",
            "PATRONI_POSTGRESQL_DATA_DIR": str(tmp_path / "data"),
            "PATRONI_POSTGRESQL_BIN_DIR": str(cluster.newest_postgresql()),
            "PATRONI_SUPERUSER_PASSWORD": "secret",
            "PATRONI_REPLICATION_PASSWORD": "secret",
            "PATRONI_REWIND_PASSWORD": "secret",
        }
        command = [find("patroni"), "--validate-config", DEPLOYED / "scale" / "patroni.yml"]
        tried = subprocess.run(
            command, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60
        )
    assert (tried.returncode, tried.stdout, tried.stderr) == (0, "", "")
