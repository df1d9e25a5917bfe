"""/metrics: what is counted, how it is written, of one process and of several; and what is made of it in deploy/."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import services
from conftest import ROOT
from kt_images import exposition, metrics
from kt_images.collector import collect
from kt_images.views import app_keys
from pictures import drawn

DEPLOY = ROOT / "api" / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "kt-images.json"
OPERATING = ROOT / "api" / "docs" / "operating.md"

PICTURE = drawn("PNG", (100, 80))

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is missing: apt-get install prometheus")


async def read(client):
    answer = await client.get("/metrics")
    assert answer.status == 200
    return await answer.text()


def form(content):
    made = aiohttp.FormData()
    made.add_field("image", content, filename="a.png")
    return made


def parsed(text):
    """The values, by name and labels, these in the order of their own names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def values(client):
    return parsed(await read(client))


async def difference(client, before):
    return {name: value - before.get(name, 0) for name, value in (await values(client)).items()}


async def test_requests_are_counted_by_route_method_and_status_whatever_is_asked(client):
    before = await values(client)
    await client.post("/images", json={"filename": "a.jpg", "tags": ["x"]})
    for path in ("/images/1", "/images/1?x=secret", "/images/77", "/images/nonsense", "/nowhere", "/nowhere/else"):
        await client.get(path)
    await client.request("TRACE", "/images/1")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"nonsense\r\n\r\n")
    await reader.read()
    writer.close()
    found = await difference(client, before)
    count = "kt_images_request_seconds_count"
    assert {name[1:]: value for name, value in found.items() if name[0] == count and value} == {
        ("POST", "/images", "201"): 1,
        ("GET", "/images/{image_id}", "200"): 1,
        ("GET", "/images/{image_id}", "400"): 1,
        ("GET", "/images/{image_id}", "404"): 2,
        ("GET", "unknown", "404"): 2,
        ("other", "/images/{image_id}", "405"): 1,
        ("other", "unreadable", "400"): 1,
        ("GET", "/metrics", "200"): 1,
    }
    assert found["kt_images_request_seconds_bucket", "+Inf", "POST", "/images", "201"] == 1
    assert found["kt_images_sent_bytes_total",] > 1000


async def test_lists_uploads_files_and_the_collector_are_counted(client):
    before = await values(client)
    for n in range(25):
        await client.post("/images", json={"filename": f"{n}.jpg"})
    sent = len(await (await client.get("/images")).read())
    await client.post("/images/upload", data=form(PICTURE))
    await client.post("/images/upload?on_duplicate=merge_tags", data=form(PICTURE))
    await client.post("/images/upload?on_duplicate=reject", data=form(PICTURE))
    await client.post("/images/upload", data=form(b"no picture"))
    stored = await (await client.get("/images/26/attachments")).json()
    await client.get(stored[0]["url"])
    await client.delete("/images/26")
    app = client.server.app
    await app[app_keys.DATABASE].primary.statements.query("update orphans set since = since - interval '1 day'")
    await collect(app[app_keys.DATABASE].primary.statements, app[app_keys.STORE], [], 60)
    found = await difference(client, before)
    assert found["kt_images_list_rows_total",] == 25
    assert 0 < found["kt_images_list_bytes_total",] < sent
    results = {name[1]: value for name, value in found.items() if name[0] == "kt_images_uploads_total"}
    assert results == {"stored": 1, "merged": 1, "refused": 2, "failed": 0, "left": 0}
    assert found["kt_images_stored_bytes_total",] == stored[0]["size"]
    assert found["kt_images_sent_bytes_total",] > stored[0]["size"]
    assert found["kt_images_collector_removed_total",] == 1
    assert found["kt_images_thumbnails_made_total",] == 0
    for gauge in ("lists_running", "uploads_running", "pictures_decoding", "pictures_waiting"):
        assert (await values(client))[f"kt_images_{gauge}",] == 0


async def test_waiting_for_a_connection_is_measured(serve):
    client = await serve(pool_size=1, acquire_timeout=0.2)
    pool = client.server.app[app_keys.DATABASE].primary.statements
    before = await values(client)
    async with pool.connection():
        assert (await values(client))["kt_images_pool_lent", "statements"] >= 1
        assert (await client.get("/images/1")).status == 503
    found = await difference(client, before)
    assert found["kt_images_pool_timeouts_total", "statements"] >= 1
    assert found["kt_images_pool_wait_seconds_sum", "statements"] >= 0.2


async def test_the_room_of_the_store_and_the_process_are_measured(client, settings):
    async with asyncio.timeout(20):
        while not (found := await values(client)).get(("kt_images_store_free_bytes",)):
            await asyncio.sleep(0.05)
    disk = os.statvfs(settings.uploads_dir)
    assert found["kt_images_store_size_bytes",] == disk.f_blocks * disk.f_frsize
    assert found["kt_images_store_free_bytes",] == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)
    assert found["kt_images_processes",] == 1
    assert found["process_resident_memory_bytes",] > 10**7
    assert found["process_cpu_seconds_total",] > 0


async def test_openmetrics_is_given_to_who_asks_for_it(client):
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert (await answer.text()).endswith("# EOF\n")
    plain = await client.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")


SEVERAL = """
import asyncio, os, sys
from pathlib import Path
from kt_images import exposition, metrics
metrics.SENT_BYTES.inc(int(sys.argv[1]))
metrics.IN_FLIGHT.inc()
metrics.COLLECTOR_LAST_RUN.set(int(sys.argv[1]))
metrics.REQUEST_SECONDS.labels("GET", "/", "200").observe(0.02)
exposition.measure()
print("ready", flush=True)
for line in sys.stdin:
    print(exposition.exposition("")[0].decode().replace("\\n", "|"), flush=True)
"""


def test_several_processes_answer_as_one_and_what_the_dead_have_counted_stays(tmp_path):
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"\0" * 4096)  # of an earlier life
    exposition.prepare(folder)
    assert list(folder.iterdir()) == []

    def start(number):
        process = subprocess.Popen(
            [sys.executable, "-c", SEVERAL, str(number)], env={**os.environ, exposition.FOLDER: str(folder)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        return process

    def ask(process):
        process.stdin.write("\n")
        process.stdin.flush()
        return parsed(process.stdout.readline().replace("|", "\n"))

    def end(process):
        process.kill()
        process.communicate()
        exposition.forget(folder, process.pid)

    def expect(process, alive, counted, requests, latest):
        found = ask(process)
        assert found["kt_images_processes",] == alive
        assert found["kt_images_requests_in_flight",] == alive
        assert found["kt_images_sent_bytes_total",] == counted
        assert found["kt_images_request_seconds_count", "GET", "/", "200"] == requests
        assert found["kt_images_request_seconds_bucket", "0.01", "GET", "/", "200"] == 0
        assert found["kt_images_request_seconds_bucket", "0.025", "GET", "/", "200"] == requests
        assert found["kt_images_collector_last_run_timestamp_seconds",] == latest

    first, second, third = start(1), start(20), start(300)
    for one in (first, second, third):
        expect(one, 3, 321, 3, 300)
    end(third)
    expect(first, 2, 321, 3, 300)
    end(second)
    expect(first, 1, 321, 3, 300)
    fourth = start(4000)
    expect(fourth, 2, 4321, 4, 4000)
    assert len(list(folder.glob("*_0.db"))) == 3
    assert {path.stem.rpartition("_")[2] for path in folder.glob("*.db")} == {"0", str(first.pid), str(fourth.pid)}
    end(first)
    end(fourth)


def documented():
    """The rows of the table in operating.md."""
    return re.findall(
        r"^\| `((?:kt_images|process|python)_[a-z_]+)` \| ([^|]*?) \| ([^|]*?) \|$", OPERATING.read_text(), re.MULTILINE
    )


def declared():
    for family in [*metrics.REGISTRY.collect(), *exposition._platform.collect()]:
        name = family.name + ("_total" if family.type == "counter" else "")
        yield name, family.type, family.documentation


def test_the_table_of_metrics_is_that_of_the_code():
    assert documented() == list(declared())


def named(text):
    """The metrics that an expression of Prometheus names."""
    names = set(re.findall(r"\b((?:kt_images|process)_[a-z_]+)\b", text))
    return {re.sub("_(bucket|count|sum)$", "", name) for name in names}


def test_every_metric_of_the_alerts_and_of_the_dashboard_exists():
    known = {name for name, _, _ in declared()}
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert named(rule["expr"]) <= known, rule["alert"]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = {name for panel in panels for target in panel.get("targets", ()) for name in named(target["expr"])}
    assert shown <= known
    assert known - shown <= {
        "process_virtual_memory_bytes", "process_max_fds", "process_start_time_seconds", "python_info",
    }  # fmt: skip


def test_every_alert_says_what_it_is_and_what_to_do_and_is_tried():
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert rule["for"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "runbook"}
    tests = yaml.safe_load((DEPLOY / "alerts_test.yml").read_text())["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules}


def test_the_dashboard_is_one_that_grafana_takes():
    """As far as can be seen without Grafana: the last version of its classic schema, which 12 and 13 read."""
    board = json.loads(DASHBOARD.read_text())
    assert (board["schemaVersion"], board["id"], board["uid"]) == (42, None, "kt-images")
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@needs_promtool
@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_is_content_with(command):
    done = subprocess.run([PROMTOOL, *command], cwd=DEPLOY, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
async def test_promtool_is_content_with_the_metrics(client):
    await client.get("/images")
    promtool = await asyncio.create_subprocess_exec(
        PROMTOOL, "check", "metrics", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert await promtool.communicate((await read(client)).encode()) == (b"", None)
    assert promtool.returncode == 0


@needs_promtool
def test_promtool_parses_the_expressions_of_the_dashboard(tmp_path):
    expressions = [
        target["expr"].replace("$__rate_interval", "1m")
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel.get("targets", ())
    ]
    rules = [{"record": f"panel:{n}", "expr": one} for n, one in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [PROMTOOL, "check", "rules", str(tmp_path / "panels.yml")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is missing: apt-get install prometheus")
def test_a_real_prometheus_reads_them(service, tmp_path):
    target = service.url.removeprefix("http://")
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: kt-images, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    port = services.free_port()
    command = [
        "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    with subprocess.Popen(command) as prometheus:
        try:
            asking = services.Service(service.dsn, service.folder, port)

            def is_read():
                try:
                    return asking.json("/api/v1/query?query=kt_images_up")["data"]["result"]
                except OSError:
                    return False

            services.wait_until(is_read)
            (scraped,) = asking.json("/api/v1/targets")["data"]["activeTargets"]
            assert (scraped["health"], scraped["lastError"]) == ("up", "")
            assert {one["metric"]["what"] for one in is_read()} == {"database", "store"}
        finally:
            prometheus.terminate()
