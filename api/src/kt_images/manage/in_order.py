"""A store's listing and the rows, side by side: both are in the order of keys, byte by byte."""

from kt_images.files.store import Listed, Store


class InOrder:
    """A listing in which objects are looked up by ascending keys: one pass, and no more of it held than a step."""

    def __init__(self, store: Store) -> None:
        self._steps = store.walk()
        self._step: list[Listed] = []
        self._next = 0
        self._ended = False

    async def size(self, key: str) -> int | None:
        """Return the size of the object; None if the listing lacks it, or has gone beyond it."""
        while (listed := await self._listed()) and listed.key < key:
            self._next += 1
        return listed.size if listed and listed.key == key else None

    async def _listed(self) -> Listed | None:
        while not self._ended and self._next == len(self._step):
            self._step, self._next = await anext(self._steps, []), 0
            self._ended = not self._step
        return None if self._ended else self._step[self._next]
