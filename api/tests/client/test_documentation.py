"""The examples in api/docs/client.md run, and print what they say."""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import types

import pytest

from cli.helps import ROOT
from kt_images import client as package
from kt_images.client import Client, ClientError
from pictures import drawn

PAGE = (ROOT / "api" / "docs" / "client.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = [example for example in EXAMPLES if "asyncio.run" in example]


def expected(example):
    return re.findall(r"print\(.*\)  # (.*)", example)


def test_the_program_runs(service):
    (program,) = PROGRAMS
    program = program.replace("http://localhost:8080", service.url)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected(program)


async def test_the_examples_run_one_after_the_other(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picture.png").write_bytes(drawn("PNG", (8, 8)))
    service.create("example.jpg", "sea")
    async with Client(service.url) as client:
        names = {"client": client, "Client": Client}
        for example in EXAMPLES:
            if example not in PROGRAMS:
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    await run(example, names)
                assert out.getvalue().splitlines() == expected(example), example


async def run(example, names):
    code = compile(example, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = types.FunctionType(code, names)()
    if waiting is not None:
        await waiting


def test_every_error_is_in_the_table():
    errors = [one for one in vars(package).values() if isinstance(one, type) and issubclass(one, ClientError)]
    assert all(f"| `{error.__name__}` |" in PAGE for error in errors if error is not ClientError)


@pytest.mark.parametrize("name", package.__all__)
def test_every_public_name_is_documented(name):
    assert getattr(package, name).__doc__


def test_the_client_needs_aiohttp_and_msgspec_alone(tmp_path):
    for module in ("rich", "typer", "pydantic", "aiopg", "psycopg2", "PIL", "aiohttp_pydantic", "uvloop"):
        (tmp_path / f"{module}.py").write_text("raise ImportError('not a package of the client')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import kt_images.client"], env=environment, check=True)
