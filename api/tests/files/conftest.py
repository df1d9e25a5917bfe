"""Pictures looked at in the tests' own process, without limits of the kernel."""

from io import BytesIO

import pytest

from kt_images.files.pictures import inspect, prepare

LIMIT = 10_000_000


@pytest.fixture
def look():
    """Inspect bytes as a picture of at most LIMIT pixels."""
    prepare(LIMIT)

    def at(content, limit=LIMIT):
        return inspect(BytesIO(content), limit, lambda _: None)

    return at
