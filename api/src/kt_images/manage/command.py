"""Common to the commands: their flags, and how they exit."""

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

from kt_images.base_settings import Settings, read_settings
from kt_images.database.failures import explained
from kt_images.errors import KtImagesError, NoFolderError
from kt_images.files.place import Place


def purpose(docstring: str | None) -> str:
    """Return a command's docstring without the command's name, which argparse prints by itself."""
    text = (docstring or "").partition(": ")[2]
    return text[:1].upper() + text[1:]


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the flags that locate the database and the store."""
    made = argparse.ArgumentParser(prog=f"python3 -m kt_images.manage.{name}", description=purpose(description))
    made.add_argument("--postgres_dsn", help="the database; default: POSTGRES_DSN, else the embedded PostgreSQL")
    made.add_argument("--database_dir", help="folder of the embedded PostgreSQL; default: KT_IMAGES_DATABASE_DIR")
    made.add_argument("--uploads_dir", help="folder of the image files; default: KT_IMAGES_UPLOADS_DIR")
    made.add_argument("--store", help="where the image files are instead: a folder or s3://bucket/prefix")
    return made


def settings(arguments: argparse.Namespace, changes: bool = False) -> Settings:
    """Return the settings of the environment, overridden by the parser's flags.

    A command that `changes` something says on stderr in which database, when nobody has named one: it is that of the
    working directory, and who runs the command elsewhere than the service changes another one.
    """
    names = ("postgres_dsn", "database_dir", "uploads_dir", "store")
    given = {name: value for name in names if (value := getattr(arguments, name, None))}
    found = read_settings([word for name, value in given.items() for word in (f"--{name}", value)])
    if changes and not found.postgres_dsn and "database_dir" not in given:
        print(f"On the database in {found.database_dir.resolve()}", file=sys.stderr, flush=True)
    return found


def become_owner(settings: Settings) -> None:
    """As root, become the owner of the store, who must be able to use the files written there.

    With the embedded database root stays root: the server is its child.
    """
    folder = settings.uploads_dir if Place.parse(settings.store) else settings.files_dir
    if os.geteuid() == 0 and settings.postgres_dsn and folder.is_dir():
        owner = folder.stat()
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def run(work: Coroutine[Any, Any, int]) -> None:
    """Do the work; exit with the status that it returns, or with 1 and a sentence if it fails."""
    try:
        status = asyncio.run(work)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left; without this the interpreter would report it once more as it closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except NoFolderError as error:
        sys.exit(f"The folder {error.folder} does not exist")
    except KtImagesError as error:
        sys.exit(explained(error))
    except OSError as error:
        sys.exit(_sentence(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)


def _sentence(error: OSError) -> str:
    if isinstance(error, FileExistsError):
        return f"{error.filename} exists already; choose another name"
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} does not exist; check the path"
    return f"{error.filename} cannot be used: {error.strerror}" if error.filename else error.strerror or str(error)
