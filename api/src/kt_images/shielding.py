"""Steps that are never left half done."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def shielded(step: Coroutine[Any, Any, T]) -> T:
    """Run `step` whole, also when whoever waits for it leaves: only then is the leaving passed on."""
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
