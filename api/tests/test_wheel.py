"""The package as it is installed: a wheel in a fresh environment, far from its sources."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest

from conftest import ROOT
from pictures import JPEG

KEPT = {"PATH", "LANG", "LC_ALL", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE"}
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools leaves files beside the sources, and takes such leftovers into the next wheel."""
    copy, made = tmp_path_factory.mktemp("sources") / "api", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "api", copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests"))
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", made, copy], check=True)
    (file,) = made.glob("kt_images-*.whl")
    return file


class Installed:
    """A virtual environment with the wheel, and a home without anything in it."""

    def __init__(self, where):
        self.home, self.programs = where / "home", where / "venv" / "bin"
        self.home.mkdir(mode=0o755)
        subprocess.run([sys.executable, "-m", "venv", where / "venv"], check=True)
        # Nothing of this environment: neither its packages nor its settings.
        self.environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(self.home)}

    def run(self, program, *arguments):
        command = [self.programs / program, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self):
        """Run `kt-images serve`; give its URL, and all that it said."""
        command = [self.programs / "kt-images", "serve", "--port", "0", "--host", "127.0.0.1"]
        with subprocess.Popen(
            command, env=self.environment, cwd=self.home, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                said = process.stdout.readline() + process.stdout.readline()
                yield re.search(r"http://[\d.:]+", said)[0], said
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
            finally:
                process.kill()


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def serves_from_any_folder(installed):
    data = installed.home / ".local" / "share" / "kt-images"
    with installed.serving() as (url, said):
        assert f"{data}/db" in said
        assert f"{data}/images" in said
        installed.environment["KT_IMAGES_SERVER"] = url
        installed.run("kt-images", "add", JPEG, "--tag", "sea")
        assert installed.run("kt-images", "list", "--tag", "sea", "--ids") == "1\n"
        assert get(f"{url}/media/1/{JPEG.name}") == JPEG.read_bytes()
        for part in re.findall(r'(?:src|href)="([^":]+)"', get(f"{url}/oas").decode()):
            assert get(urljoin(f"{url}/oas", part)), part
        # The commands find the same data, on no more than their own defaults.
        assert installed.run("python", "-m", "kt_images.manage.check").endswith("all is well\n")
        installed.run("python", "-m", "kt_images.manage.backup", installed.home / "images.tar")
    assert (data / "db" / "PG_VERSION").exists()
    assert (data / "images" / "store.json").exists()


def test_a_wheel_has_all_its_files_and_serves_from_any_folder(wheel, folder):
    """With the dependencies of this environment; `make slow` installs them, too."""
    (folder / "wheel-alone").mkdir()
    installed = Installed(folder / "wheel-alone")
    subprocess.run(
        [*PIP, "--python", installed.programs / "python", "install", "--no-deps", "--no-index", wheel], check=True
    )
    site = sysconfig.get_path("purelib", vars={"base": str(installed.programs.parent)})
    Path(site, "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    assert installed.run("python", "-c", "import kt_images; print(*kt_images.__path__)").startswith(str(folder))
    serves_from_any_folder(installed)


@pytest.mark.slow
def test_a_wheel_with_its_extras_serves_in_an_environment_of_its_own(wheel, folder):
    (folder / "wheel-extras").mkdir()
    installed = Installed(folder / "wheel-extras")
    installed.run("python", "-m", "pip", "install", "--quiet", f"{wheel}[server,cli,embedded]")
    serves_from_any_folder(installed)


def test_a_wheel_has_the_project_s_license_and_no_test(wheel):
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", wheel], capture_output=True, text=True, check=True
    ).stdout
    assert "licenses/LICENSE" in names
    assert "tests/" not in names
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "api" / "LICENSE").read_bytes()
