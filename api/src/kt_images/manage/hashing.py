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
        async with store.content(row.object_key, row.size) as content:
            return "different" if deep and await _sha256(content) != row.sha256 else None
    except DamagedStoreError as error:
        await store.check()
        return {FileNotFoundError: "missing", type(None): "different"}.get(type(error.__cause__), "unreadable")
    except OSError:
        return "unreadable"


async def _sha256(content: Content) -> str:
    digest = hashlib.sha256()
    async for piece in content:
        await asyncio.to_thread(digest.update, piece)
    return digest.hexdigest()
