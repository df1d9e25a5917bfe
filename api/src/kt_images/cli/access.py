"""`login` and `logout`: the key that is sent to a service, from now on or no longer."""

import getpass
import sys

from kt_images.cli import keychain, output
from kt_images.cli.errors import CliError, MisusedError, Status
from kt_images.cli.failures import KEY
from kt_images.cli.service import address_of, is_given, warn
from kt_images.cli.work import run
from kt_images.client import Client, ForbiddenError, InvalidKeyError, NotFoundError, UnauthorizedError
from kt_images.client.keys import key_id

LONGEST = 1000  # bytes that are read of a key


def login(server: str) -> Status:
    """Ask for a key, and keep it for the service if that accepts it. Raises CliError."""
    name = address_of(server)
    key = _asked(name)
    try:
        key_id(key)
    except InvalidKeyError as error:
        raise MisusedError(str(error)) from error
    warn(server)
    run(_check(server, key))
    output.say(f"The key for {name} is kept in {keychain.keep(name, key)}")
    if is_given():
        output.say(f"As long as {KEY} is set, the key in it is used instead")
    return Status.DONE


def logout(server: str) -> Status:
    """Forget the key for the service. Raises CliError."""
    name = address_of(server)
    if keychain.forget(name):
        output.say(f"The key for {name} is kept no longer; kt-images keys revoke ends a key for everybody")
    else:
        output.say(f"No key is kept for {name}")
    return Status.DONE


def _asked(name: str) -> str:
    """Return what is typed without an echo, or read from standard input if that is no terminal. Raises MisusedError."""
    try:
        if sys.stdin and sys.stdin.isatty():
            key = getpass.getpass(f"Key for {name}: ", sys.stderr)
        else:
            key = sys.stdin.buffer.readline(LONGEST).decode(errors="replace") if sys.stdin else ""
    except EOFError:
        key = ""
    if not key.strip():
        raise MisusedError("No key was given; type it when asked, or give it on standard input")
    return key.strip()


async def _check(server: str, key: str) -> None:
    """Raise CliError unless the service knows the key."""
    try:
        # Without a key at first: a service that is open to anybody looks at none, but lists them.
        async with Client(server) as anybody:
            if key_id(key) not in {one.id for one in await anybody.keys()}:
                raise CliError("The service has no such key; nothing was kept", Status.DENIED)
    except NotFoundError as error:
        raise CliError("The service is too old to know keys, and needs none; nothing was kept") from error
    except UnauthorizedError:
        async with Client(server, key=key) as client:
            try:
                await client.keys()
            except ForbiddenError:
                pass  # it is valid, but may not list keys
            except UnauthorizedError as error:
                raise CliError(f"{error}; nothing was kept", Status.DENIED) from error
