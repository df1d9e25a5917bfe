"""What the faults need: rights that not every machine gives, and a word on how thorough to be."""

import contextlib
import os
import shutil
import subprocess
import sys

import psutil
import pytest


@pytest.fixture(scope="session")
def thorough():
    """Whether all is tried that there is, as `make faults` does, or a choice that takes seconds."""
    return os.environ.get("KT_IMAGES_FAULTS") == "all"


@pytest.fixture(scope="session")
def strace():
    if not shutil.which("strace"):
        pytest.skip("there is no strace here")
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")


@contextlib.contextmanager
def _serving(folder, *arguments, descriptors=None):
    """Run a service as a process, with so many descriptors at most; give it and its URL. Its log is `folder`/log."""
    variables = {
        "KT_IMAGES_HOST": "127.0.0.1",
        "KT_IMAGES_PORT": "0",
        "KT_IMAGES_DECODE_MEMORY": str(256 * 2**20),
        "KT_IMAGES_THUMBNAIL_WIDTHS": "16,160",
    }
    command = [sys.executable, "-m", "kt_images", "--uploads_dir", str(folder / "images"), *arguments]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        line = next(line for line in process.stdout if "http://" in line)
        try:
            yield psutil.Process(process.pid), "http://" + line.split("http://")[1].split(";")[0].split()[0]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def serving():
    return _serving


@pytest.fixture
def service(dsn, tmp_path):
    """A service as a process; gives it and its URL. Its log has no stack at the end."""
    with _serving(tmp_path, "--postgres_dsn", dsn) as running:
        yield running
    assert "Traceback" not in (tmp_path / "log").read_text()
