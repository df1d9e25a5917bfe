"""Steps that must not be left half done."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def shielded(step: Coroutine[Any, Any, T]) -> T:
    """Run `step` to completion even if the caller is cancelled; the cancellation is raised only afterwards."""
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody waits for it any more; asyncio would log it as lost
        raise
