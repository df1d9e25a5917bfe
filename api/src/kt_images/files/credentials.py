"""Credentials for a bucket, from where the tools of AWS have them.

The environment comes first, then a profile of the file of credentials. Only if the environment says that a server has
them is one asked: without credentials, a machine outside of Amazon would wait for an address that nobody answers at.
"""

import configparser
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict

from kt_images.errors import UnavailableError

# What stands for credentials that a server or a role gives; the client of the bucket knows them by itself.
GIVEN_BY_SERVERS = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
)
# The file is read again that often: whoever rotates credentials writes it anew.
LIFE = timedelta(minutes=5)

MISSING = (
    "There are no credentials for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to the "
    "file ~/.aws/credentials"
)


class Credentials(TypedDict):
    """As the client of the bucket takes them."""

    access_key_id: str
    secret_access_key: str
    token: str | None
    expires_at: datetime | None


def provider(environment: Mapping[str, str] = os.environ) -> Callable[[], Credentials] | None:
    """Return what gives the credentials whenever they are needed, None if a server gives them.

    Raises UnavailableError when there are none.
    """
    if not environment.get("AWS_ACCESS_KEY_ID") and any(map(environment.get, GIVEN_BY_SERVERS)):
        return None

    def give() -> Credentials:
        return _of_environment(environment) or _of_file(environment)

    give()
    return give


def _of_environment(environment: Mapping[str, str]) -> Credentials | None:
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        return None
    token = environment.get("AWS_SESSION_TOKEN") or None
    return Credentials(access_key_id=key, secret_access_key=secret, token=token, expires_at=None)


def _of_file(environment: Mapping[str, str]) -> Credentials:
    path = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")
    profile = environment.get("AWS_PROFILE") or "default"
    parsed = configparser.RawConfigParser()
    try:
        parsed.read(path.expanduser(), encoding="utf-8")
        found = parsed[profile]
        return Credentials(
            access_key_id=found["aws_access_key_id"],
            secret_access_key=found["aws_secret_access_key"],
            token=found.get("aws_session_token"),
            expires_at=datetime.now(UTC) + LIFE,
        )
    # No such file, profile or line; no home; or it cannot be read.
    except (KeyError, OSError, RuntimeError, configparser.Error, UnicodeDecodeError):
        raise UnavailableError(MISSING) from None
