"""What the commands share: their flags, and how they end."""

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

from kt_images.base_settings import Settings, read_settings
from kt_images.database.connection import Limits
from kt_images.database.failures import explained
from kt_images.errors import KtImagesError

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


def become_owner(settings: Settings) -> None:
    """As root, go on as the owner of the store, who must be able to use what is written there.

    Not with the embedded database: its server is a child that belongs to root.
    """
    if os.geteuid() == 0 and settings.postgres_dsn and settings.uploads_dir.is_dir():
        owner = settings.uploads_dir.stat()
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def run(work: Coroutine[Any, Any, int]) -> None:
    """Do the work and exit with the status that it returns, or with 1 and a sentence when it fails."""
    try:
        status = asyncio.run(work)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; the interpreter would complain once more when it closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KtImagesError as error:
        sys.exit(explained(error))
    except OSError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)
