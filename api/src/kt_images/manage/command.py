"""What the commands share: their flags, and how they end."""

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

from kt_images.base_settings import Settings, read_settings
from kt_images.database import stores
from kt_images.database.connection import Limits
from kt_images.database.pool import Pool
from kt_images.errors import KtImagesError
from kt_images.files.store import Store

# A command takes as long as it takes; waiting for a lock that somebody holds does not.
LIMITS = Limits(connect=10, acquire=60, statement=24 * 3600, lock=10)


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the flags that say where things are kept."""
    made = argparse.ArgumentParser(prog=f"python3 -m kt_images.manage.{name}", description=description)
    made.add_argument("--postgres_dsn", help="the database; default: POSTGRES_DSN, else the embedded one")
    made.add_argument("--database_dir", help="where the embedded one keeps its data")
    made.add_argument("--uploads_dir", help="where the image files are kept")
    return made


def settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings of the environment, overridden by the parser's flags."""
    names = ("postgres_dsn", "database_dir", "uploads_dir")
    given = [(f"--{name}", value) for name in names if (value := getattr(arguments, name))]
    return read_settings([word for flag in given for word in flag])


async def enter(pool: Pool, store: Store) -> None:
    """See that store and database belong together; a new store becomes that of a database that has none.

    Raises OtherStoreError, UnavailableError.
    """
    if (known := await stores.known(pool)) is None:
        await stores.remember(pool, store.claim())
        known = await stores.known(pool)
    store.enter(known or "")


def run(work: Coroutine[Any, Any, int]) -> None:
    """Do the work and exit with the status that it returns, or with 1 and a sentence when it fails."""
    try:
        status = asyncio.run(work)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; the interpreter would complain once more when it closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (KtImagesError, OSError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)
