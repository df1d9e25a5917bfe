"""A Chromium without a window, the one of the machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from benchmarks.rows import LeftOutError

NAMES = ("chromium", "chromium-browser", "google-chrome")
# In containers it is root's, and there is little shared memory.
OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start one. Raises LeftOutError where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        raise LeftOutError("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()
