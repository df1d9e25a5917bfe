"""System calls that may block, away from the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kt_images.shielding import shielded

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the function in a thread, to completion even if the caller is cancelled.

    So no descriptor is closed, and no file removed, while a thread still works on it.
    """
    return await shielded(asyncio.to_thread(function, *args, **kwargs))
