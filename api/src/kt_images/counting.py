"""Counting: brings the counts of tags up to date, often enough that a question adds up few changes."""

import asyncio
import logging

from kt_images.database import tags
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError, ReadOnlyError

logger = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
# Changes, in a transaction: the more, the more often a tag is among them and counted once.
STEP = 100_000
# Changes whose room is given back together.
UNTIDY = 50_000


async def keep_counting(db: Pool) -> None:
    """Count until cancelled; a failure is logged, and the next time tries again."""
    folded = 0
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            while changes := await tags.fold(db, STEP):
                folded += changes
            if folded > UNTIDY:
                await tags.tidy(db)
                folded = 0
        except ReadOnlyError:
            pass  # the primary's service does it
        except KtImagesError as error:
            logger.info("The counts of tags could not be brought up to date: %s", error)
        except Exception:
            logger.exception("The counts of tags could not be brought up to date")
