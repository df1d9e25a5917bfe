"""Objects compared with their rows."""

import asyncio
import hashlib

from kt_images.errors import DamagedStoreError
from kt_images.files.store import Content, Store
from kt_images.models.attachments import Attachment

# Objects that are read or written together.
AT_ONCE = 16


async def wrong(store: Store, row: Attachment, deep: bool) -> str | None:
    """Return what is wrong with the object of a row, None if nothing is; `deep` reads all of it.

    Raises UnavailableError when the store cannot be reached: no object is missing because of that.
    """
    try:
        async with store.content(row.object_key, row.size, None if deep else range(0)) as content:
            return "different" if deep and await _sha256(content) != row.sha256 else None
    except DamagedStoreError as error:
        await store.check()
        return "missing" if is_missing(error) else "unreadable" if error.__cause__ else "different"
    except OSError:
        return "unreadable"


def is_missing(error: DamagedStoreError) -> bool:
    """Return whether there is no object, rather than another one."""
    cause = error.__cause__
    while cause and not isinstance(cause, FileNotFoundError):
        cause = cause.__cause__
    return cause is not None


async def _sha256(content: Content) -> str:
    digest = hashlib.sha256()
    async for piece in content:
        await asyncio.to_thread(digest.update, piece)
    return digest.hexdigest()
