"""Modules of the gallery that know no page are tested beside it, in node: `*.test.js`."""

from pathlib import Path

import pytest

TESTS = sorted(Path(__file__).parent.glob("*.test.js"))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
async def test_a_module_does_what_its_own_tests_say(node, file):
    # The sources have no package.json beside them that would say that they are modules.
    status, said = await node("--experimental-detect-module", "--disable-warning=ExperimentalWarning", "--test", file)
    assert status == 0, said
