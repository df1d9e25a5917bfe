"""The service at an address, with the key for it: that in KT_IMAGES_KEY, else that which `kt-images login` kept."""

import os
from functools import cache

from kt_images.cli import keychain, output
from kt_images.cli.errors import MisusedError
from kt_images.cli.failures import KEY, failure
from kt_images.client import Client, ClientError, InvalidKeyError, addresses
from kt_images.client.client import PATIENCE


def service(server: str, patience: float = PATIENCE) -> Client:
    """Return the client of the service at this address. Raises CliError, ClientError."""
    if not is_given():
        return Client(server, patience, key=key_for(server))
    try:
        client = Client(server, patience, key=key_for(server))
    except InvalidKeyError as error:
        raise MisusedError(f"{KEY}: {error}") from error
    warn(server)
    return client


def is_given() -> bool:
    """Return whether KT_IMAGES_KEY has a key."""
    return bool(_given())


@cache
def key_for(server: str) -> str | None:
    """Return the key that is sent to the service; none beside a name in the address. Raises CliError."""
    return _given() or (None if addresses.parse(server).user is not None else keychain.kept(address_of(server)))


@cache
def warn(server: str) -> None:
    """Say, once, if others on the network may read the key."""
    if addresses.is_overheard(addresses.parse(server)):
        output.say(f"The key is sent to {address_of(server)} without encryption; use https:// where others may listen")


def address_of(server: str) -> str:
    """Return the address as keys are kept for it: without a name and password. Raises CliError."""
    try:
        return addresses.shown(addresses.parse(server))
    except ClientError as error:
        raise failure(error) from error


def _given() -> str:
    return os.environ.get(KEY, "").strip()
