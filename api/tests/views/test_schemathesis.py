"""The document and the service agree, for thousands of requests that are made from the document."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from conftest import ROOT

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.slow
async def test_schemathesis_finds_nothing(client, tmp_path):
    command = Path(sys.executable).with_name("schemathesis")
    options = ["--max-examples=100", "--continue-on-failure", "--seed=1", "--suppress-health-check=all"]
    running = await asyncio.create_subprocess_exec(
        command, "--config-file", CONFIG, "run", str(client.make_url("/oas/spec")), *options,
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await running.communicate()
    assert running.returncode == 0, output.decode()
    calls = sum(map(len, json.loads((ROOT / "openapi.json").read_text())["paths"].values()))
    assert f"Tested: {calls}\n" in output.decode(), output.decode()
