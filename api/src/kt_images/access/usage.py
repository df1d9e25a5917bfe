"""Usage: notes when each key was last used, in the background."""

import asyncio
import logging

from kt_images.access.keyring import Keyring
from kt_images.database import keys
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError, ReadOnlyError

logger = logging.getLogger(__name__)

INTERVAL = 15.0  # seconds


async def keep_noting(db: Pool, keyring: Keyring) -> None:
    """Note until cancelled. What could not be noted is lost: the key's next use tells the same."""
    while True:
        await asyncio.sleep(INTERVAL)
        await note(db, keyring)


async def note(db: Pool, keyring: Keyring) -> None:
    """Note the keys that were used since the last time."""
    if not (used := keyring.take_used()):
        return
    try:
        await keys.used(db, used)
    except ReadOnlyError:
        pass  # the primary's service does it
    except KtImagesError as error:
        logger.info("The last use of keys could not be noted: %s", error)
    except Exception:
        logger.exception("The last use of keys could not be noted")
