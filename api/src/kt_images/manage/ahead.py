"""Work begun ahead of its turn, so that a store that answers late is asked for many objects at once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def ahead(
    items: AsyncIterator[T], work: Callable[[T], Coroutine[Any, Any, R]], most: int
) -> AsyncGenerator[tuple[T, "asyncio.Task[R]"], None]:
    """Yield the items in order, each with its work, of which up to `most` is begun. Close it with `aclosing()`."""
    begun: deque[tuple[T, asyncio.Task[R]]] = deque()
    try:
        async for item in items:
            begun.append((item, asyncio.create_task(work(item))))
            if len(begun) >= most:
                yield begun.popleft()
        while begun:
            yield begun.popleft()
    finally:
        for _, task in begun:
            task.cancel()
        await asyncio.gather(*(task for _, task in begun), return_exceptions=True)
