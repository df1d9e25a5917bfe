"""docker-compose.yml, api/Dockerfile, the manifest of Kubernetes and the settings know the same service."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from psycopg2.extensions import parse_dsn

from conftest import ROOT
from kt_images.base_settings import Settings, variable

API = ROOT / "api"
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (API / "Dockerfile").read_text()
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
KNOWN = {variable(name) for name in DEFAULTS}
LIBPQ = {"PGPASSWORD"}
ACCOUNT = int(re.search(r"--uid (\d+)", DOCKERFILE)[1])
STORE = "/data/images"


@pytest.fixture(scope="module")
def compose():
    """The file with the default of each variable in its place."""
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE))


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


@pytest.fixture(scope="module")
def image():
    """What the Dockerfile's ENV lines set."""
    lines = re.findall(r"^ENV (.*)", DOCKERFILE, re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


@pytest.fixture(scope="module")
def manifest():
    return {
        (one["kind"], one["metadata"]["name"]): one
        for one in yaml.safe_load_all((API / "deploy/kubernetes.yaml").read_text())
    }


@pytest.fixture(scope="module")
def pods(manifest):
    return [
        manifest["Deployment", "kt-images"]["spec"]["template"]["spec"],
        manifest["CronJob", "kt-images-backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ]


def test_the_ports_are_those_of_the_readme_and_on_the_loopback_unless_asked_otherwise(services):
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "db": ["127.0.0.1:5432:5432"],
        "web": ["127.0.0.1:8080:8080"],
        "prometheus": ["127.0.0.1:9090:9090"],
    }
    assert DEFAULTS["port"] == 8080


def test_the_variables_are_those_of_the_page_for_operators():
    section = (API / "docs/operating.md").read_text().partition("## In containers")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^`|]*?)`? \|", section, re.MULTILINE))
    assert documented == dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE))


def test_every_variable_is_a_setting(services, image):
    assert {*services["api"]["environment"], *image} <= KNOWN | LIBPQ
    assert {*services["backup"]["environment"]} <= KNOWN | LIBPQ | set(
        re.findall(r"BACKUP_\w+", (API / "backups.sh").read_text())
    )


@pytest.mark.parametrize("name", ["api", "backup"])
def test_the_service_knows_the_database_by_its_name_and_password(services, name):
    database, environment = services["db"]["environment"], services[name]["environment"]
    assert parse_dsn(environment["POSTGRES_DSN"]) | {"password": environment["PGPASSWORD"]} == {
        "host": "db",
        "dbname": database["POSTGRES_DB"],
        "user": database["POSTGRES_USER"],
        "password": database["POSTGRES_PASSWORD"],
    }


def test_what_is_stored_outlives_the_containers_and_is_not_that_of_make_run(services, image):
    folders = dict(
        volume.split(":")[1::-1]
        for name in ("db", "api")
        for volume in services[name]["volumes"]
        if "/compose/" in volume
    )
    assert set(folders) == {"/var/lib/postgresql/data", image["KT_IMAGES_UPLOADS_DIR"]}
    assert all(folder.startswith("./data/") for folder in folders.values())
    assert not {Path(folder) for folder in folders.values()} & {DEFAULTS["database_dir"], DEFAULTS["uploads_dir"]}
    assert image["KT_IMAGES_UPLOADS_DIR"] == STORE


def test_files_that_are_mounted_are_there(services):
    mounted = {volume.split(":")[0] for one in services.values() for volume in one["volumes"]}
    assert all((ROOT / path).exists() for path in mounted if path.startswith("./api/"))


def test_the_image_has_the_client_and_what_a_bucket_needs_and_all_files_that_it_copies_reach_the_build():
    assert "print(*extras['cli'], *extras['s3'], sep='\\n')\" > extras.txt" in DOCKERFILE
    allowed = {line[1:] for line in (API / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()}
    assert copied == allowed
    assert all((API / name).exists() for name in copied)


def test_the_versions_in_the_image_are_given_and_allowed():
    extras = tomllib.loads((API / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = (API / "constraints.txt").read_text().splitlines()
    given = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines[1:])}
    for wanted in map(Requirement, extras["server"] + extras["cli"] + extras["s3"]):
        assert wanted.specifier.contains(given[canonicalize_name(wanted.name)]), f"{wanted}: make constraints"


def test_a_container_that_is_taken_over_finds_little_to_take(services):
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert not service.get("privileged"), name
    assert [name for name, service in services.items() if "cap_add" in service] == ["prepare"]
    assert (services["prepare"]["cap_add"], services["prepare"]["network_mode"]) == (["CHOWN"], "none")


def test_nothing_that_stays_runs_as_root(services):
    assert "USER kt-images" in DOCKERFILE
    accounts = {name: service.get("user", "the image's") for name, service in services.items()}
    assert accounts.pop("prepare") == "root"
    assert set(accounts.values()) == {"postgres", "the image's", "101:101", "nobody"}


def test_who_needs_not_see_the_database_does_not(compose):
    services, networks = compose["services"], compose["networks"]
    networks_of = {name: set(service.get("networks", [])) for name, service in services.items()}
    assert {name for name, known in networks_of.items() if "rows" in known} == {"db", "api", "backup"}
    assert not networks_of["web"] & networks_of["db"] - {"outside"}
    assert {name for name, network in networks.items() if (network or {}).get("internal")} == {"rows", "calls"}
    assert "outside" not in networks_of["api"]


@pytest.mark.parametrize(
    ("changes", "refused", "says"),
    [
        ({}, False, ""),
        ({"POSTGRES_BIND": "0.0.0.0"}, True, "put another POSTGRES_PASSWORD into .env"),
        ({"POSTGRES_BIND": "192.0.2.1"}, True, "put another POSTGRES_PASSWORD into .env"),
        ({"POSTGRES_BIND": "[::]"}, True, "put another POSTGRES_PASSWORD into .env"),
        ({"POSTGRES_BIND": "0.0.0.0", "POSTGRES_PASSWORD": "x y'$"}, False, ""),
        ({"POSTGRES_BIND": "[::1]"}, False, ""),
        ({"POSTGRES_BIND": "127.1.2.3"}, False, ""),
        ({"KT_IMAGES_BIND": "0.0.0.0"}, False, "put KT_IMAGES_ACCESS=keys into .env"),
        ({"KT_IMAGES_BIND": "0.0.0.0", "KT_IMAGES_ACCESS": "keys"}, False, ""),
    ],
)
def test_the_known_password_is_not_published(services, changes, refused, says, tmp_path):
    """The script itself, but for the folders that it gives away, and its pause."""
    script = (API / "deploy/prepare.sh").read_text()
    (tmp_path / "prepare.sh").write_text(re.sub("^(chown|sleep) .*$", "", script, flags=re.MULTILINE))
    environment = services["prepare"]["environment"] | changes
    done = subprocess.run(["sh", tmp_path / "prepare.sh"], check=False, env=environment, capture_output=True, text=True)
    assert bool(done.returncode) == refused
    assert (says in done.stderr) if says else not done.stderr
    assert re.search(rf"^chown {ACCOUNT}:{ACCOUNT} /folders/images", script, re.MULTILINE)


def test_nothing_starts_before_that_is_looked_at(services):
    assert services["db"]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    for name, before in {"api": "db", "web": "api", "backup": "api", "prometheus": "api"}.items():
        assert services[name]["depends_on"] == {before: {"condition": "service_healthy"}}


def test_a_stop_waits_for_the_requests_in_flight(services):
    for name in ("api", "web"):
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > DEFAULTS["grace_period"] + 12


def test_readiness_is_told_where_it_is_asked_for_and_replaces_nothing(services, pods):
    assert re.search(r"HEALTHCHECK .*/healthz", DOCKERFILE)
    assert services["api"]["healthcheck"]["test"][-1] == "/readyz"
    assert services["web"]["healthcheck"]["test"].endswith("/readyz")
    (container,) = pods[0]["containers"]
    asked = {name: container[name]["httpGet"] for name in ("livenessProbe", "startupProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "livenessProbe": "/healthz",
        "startupProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {probe["port"] for probe in asked.values()} == {"http"}


def test_nginx_knows_the_service_and_its_files(services, image):
    site = (API / "deploy/nginx/kt-images.conf").read_text()
    assert f"server api:{DEFAULTS['port']} " in site
    assert f"location {services['api']['environment']['KT_IMAGES_ACCEL_LOCATION']} {{" in site
    assert f"alias {image['KT_IMAGES_UPLOADS_DIR']}/objects/;" in site
    assert f"./data/compose/images:{image['KT_IMAGES_UPLOADS_DIR']}:ro" in services["web"]["volumes"]


def test_kubernetes_runs_the_image_as_it_is(manifest, pods, image):
    for pod in pods:
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (ACCOUNT, ACCOUNT)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        assert not pod["enableServiceLinks"]
        claims = {one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one}
        assert claims <= {name for kind, name in manifest if kind == "PersistentVolumeClaim"}
        for container in pod.get("initContainers", []) + pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {one["name"] for one in container["env"]} <= KNOWN | {"BACKUP_KEEP"}
            assert {"name": "images", "mountPath": image["KT_IMAGES_UPLOADS_DIR"]} in container["volumeMounts"]
            assert {one["name"] for one in container["volumeMounts"]} <= {one["name"] for one in pod["volumes"]}
    (container,) = pods[0]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": DEFAULTS["port"]}]
    assert pods[0]["terminationGracePeriodSeconds"] > DEFAULTS["grace_period"] + 12 + 5
    labels = manifest["Deployment", "kt-images"]["spec"]["template"]["metadata"]["labels"]
    for kind, place in (("Service", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        chosen = manifest[kind, "kt-images"]["spec"][place]
        assert chosen.get("matchLabels", chosen) == labels
