"""Objects copied from one store to another: each is compared with the SHA-256 of its row as it passes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

from kt_images.database import attachments
from kt_images.database.pool import Pool
from kt_images.errors import DamagedStoreError, DiskFullError, TooLargeError
from kt_images.files.store import Content, Store
from kt_images.manage.hashing import AT_ONCE, wrong
from kt_images.models.attachments import Attachment

FULL = "The new store is full; nothing is lost. Make room and run the command again: it goes on where it stopped"


class Copier:
    """Copies the objects of rows; `copied`, `skipped` and `bytes` count them, `damaged` has those that it could not.

    With `verify` it reads back what it has copied, and reads what is there already.
    """

    def __init__(self, db: Pool, source: Store, target: Store, verify: bool) -> None:
        self._db, self._source, self._target, self._verify = db, source, target, verify
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self.damaged: dict[str, Attachment] = {}
        self.counts: Counter[str] = Counter()

    async def copy(
        self,
        rows: Sequence[Attachment],
        present: Sequence[int | None] | None = None,
        done: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Copy the objects; `present` are their sizes in the new store, as far as known. Calls `done` for each.

        Raises DiskFullError and UnavailableError; all that were begun have ended then.
        """
        sizes = present or [None] * len(rows)
        ends = await asyncio.gather(
            *(self._one(row, size, done) for row, size in zip(rows, sizes, strict=True)), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _one(self, row: Attachment, present: int | None, done: Callable[[int], None]) -> None:
        async with self._at_once:
            if present == row.size and not (self._verify and await wrong(self._target, row, deep=True)):
                self.counts["skipped"] += 1
            elif await self._is_copied(row):
                self.counts["copied"] += 1
                self.counts["bytes"] += row.size
            # Replaced or deleted meanwhile, and collected? Then nobody needs it any more.
            elif await attachments.referenced(self._db, [row.object_key]):
                self.damaged[row.object_key] = row
        done(1)

    async def _is_copied(self, row: Attachment) -> bool:
        """Return False for an object that is not what its row says."""
        key = row.object_key
        try:
            async with (
                self._source.content(key, row.size) as content,
                self._target.receive(_pieces(content), row.size) as received,
            ):
                if received.sha256 != row.sha256:
                    return False
                await self._target.keep(received, key, row.content_type)
        except DiskFullError:
            raise DiskFullError(FULL) from None
        except (DamagedStoreError, TooLargeError):
            await self._source.check()  # nothing is damaged because its store cannot be reached
            return False
        if self._verify and (problem := await wrong(self._target, row, deep=True)):
            raise DamagedStoreError(f"The new store does not keep what it is given: {key} is {problem} there")
        return True


async def _pieces(content: Content) -> AsyncIterator[bytes]:
    try:
        async for piece in content:
            yield piece
    except OSError as error:
        raise DamagedStoreError from error
