"""The environment and the command line, read once into one frozen object."""

import argparse
import ipaddress
import os
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import psycopg2.extensions
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, CliSettingsSource, NoDecode, SettingsConfigDict, SettingsError

# Below the working directory.
DATA = Path("data")

EAGER = "320"
WIDEST = 16383  # that WebP can be
MOST_WORKERS = 128

BASE_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~-]+)*")
# The service's own paths, below which it could not tell its calls apart.
OWN = {"images", "tags", "attachments", "media", "keys", "oas", "healthz", "readyz", "metrics"}
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?")
# Characters that mean nothing else in a URL or to nginx.
BUCKET_PLACE = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)/?"
)
ENDPOINT = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/?")
REGION = re.compile(r"[A-Za-z0-9_-]*")
HOST_NAME = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")

# pydantic's sentences speak of inputs and parsing.
SENTENCES = {
    "int_parsing": "it must be a whole number",
    "float_parsing": "it must be a number",
    "finite_number": "it must be a number",
    "greater_than_equal": "it must be at least {ge:.15g}",
    "less_than_equal": "it must be at most {le:.15g}",
    "string_pattern_mismatch": "it must begin and end with a slash",
    "enum": "it must be {expected}",
}


def _dsn(text: str) -> str:
    try:
        psycopg2.extensions.parse_dsn(text)
    except psycopg2.ProgrammingError:
        # libpq's own message repeats the text, and with it a password.
        raise PydanticCustomError("dsn", "it is not a PostgreSQL connection string") from None
    return text


def _data_dir() -> Path:
    """Return `data` in a clone of the project and where an earlier run left data, else the user's folder for data."""
    if Path("api/src/kt_images").is_dir() or any((DATA / name).is_dir() for name in ("db", "images")):
        return DATA
    return platformdirs.user_data_path("kt-images")


def _widths(value: object) -> object:
    # In the environment and on the command line: 160,320
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    try:
        widths = tuple(map(int, parts))  # type: ignore[call-overload]  # what is not iterable is refused
    except (TypeError, ValueError):
        widths = (0,)
    if not all(1 <= width <= WIDEST for width in widths):
        raise PydanticCustomError(
            "widths", "it must be numbers from 1 to {widest} separated by commas, as in 160,320", {"widest": WIDEST}
        )
    return widths


def _names(value: object) -> object:
    # In the environment and on the command line: one,two
    return tuple(part.strip().lower() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not all(ORIGIN.fullmatch(origin) for origin in origins):
        raise PydanticCustomError("origins", "it must be origins separated by commas, as in https://example.org:8443")
    # As browsers write them, without the port that goes without saying.
    return tuple(one.removesuffix(":443" if one.startswith("https:") else ":80") for one in origins)


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(HOST_NAME.fullmatch(host) for host in hosts):
        raise PydanticCustomError("hosts", "it must be names without ports, separated by commas, as in example.org")
    return hosts


def _store_place(place: str) -> str:
    if "://" in place and not BUCKET_PLACE.fullmatch(place):
        raise PydanticCustomError("store", "it must be a folder or a bucket as s3://bucket or s3://bucket/prefix")
    return place.rstrip("/") if BUCKET_PLACE.fullmatch(place) else place


def _endpoint(url: str) -> str:
    if url and not ENDPOINT.fullmatch(url):
        raise PydanticCustomError("endpoint", "it must be a URL without a path, as in https://s3.example.org")
    return url.rstrip("/")


def _region(region: str) -> str:
    if not REGION.fullmatch(region):
        raise PydanticCustomError("region", "it must be the name of a region, as in eu-central-1")
    return region


def _file(path: str) -> str:
    if path and not Path(path).is_file():
        raise PydanticCustomError("file", "it must be a file that is there")
    return path


def _networks(value: object) -> object:
    # In the environment and on the command line: 10.0.0.0/8,fd00::/8
    try:
        return tuple(ipaddress.ip_network(part) for part in _names(value))  # type: ignore[attr-defined]  # as above
    except (TypeError, ValueError):
        raise PydanticCustomError(
            "networks", "it must be networks separated by commas, as in 10.0.0.0/8,fd00::/8"
        ) from None


def _base_path(path: str) -> str:
    if not BASE_PATH.fullmatch(path):
        raise PydanticCustomError("base_path", "it must begin with a slash and not end with one, as in /pics")
    if path and path.split("/")[1] in OWN:
        raise PydanticCustomError("base_path", "it must not begin like one of the service's own paths")
    return path


def _workers(value: object) -> object:
    if value == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return value


class Access(StrEnum):
    """Who may call: anybody, anybody to read, or holders of keys alone."""

    OPEN = "open"
    KEYS_TO_WRITE = "keys-to-write"
    KEYS = "keys"


class AccessLog(StrEnum):
    """How each request is logged."""

    OFF = "off"
    TEXT = "text"
    JSON = "json"


class StoreStyle(StrEnum):
    """How the name of a bucket stands in its URL."""

    PATH = "path"
    VIRTUAL = "virtual"


Widths = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_widths)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Origins = Annotated[Names, AfterValidator(_origins)]
Hosts = Annotated[Names, AfterValidator(_hosts)]
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
StorePlace = Annotated[str, AfterValidator(_store_place)]
File = Annotated[str, AfterValidator(_file)]
Region = Annotated[str, AfterValidator(_region)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
BasePath = Annotated[str, AfterValidator(_base_path)]
Workers = Annotated[int, Field(ge=1, le=MOST_WORKERS), BeforeValidator(_workers)]


# To switch a limit off, set it to a day.
Seconds = Annotated[float, Field(le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Store images and their tags and serve them; without --postgres_dsn, on an embedded PostgreSQL."""

    model_config = SettingsConfigDict(
        env_prefix="KT_IMAGES_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        cli_prog_name="python3 -m kt_images",
    )

    postgres_dsn: Annotated[str, AfterValidator(_dsn)] = Field(
        "",
        validation_alias="postgres_dsn",
        repr=False,
        description="Database, as a libpq connection string or URL; empty: an embedded PostgreSQL",
    )
    postgres_replica_dsn: Annotated[str, AfterValidator(_dsn)] = Field(
        "",
        validation_alias="postgres_replica_dsn",
        repr=False,
        description="Streaming replicas for reading images and lists; empty: read from the primary",
    )
    database_dir: Path = Field(
        DATA / "db", description="Folder of the embedded PostgreSQL; outside a clone: below the user's data folder"
    )
    uploads_dir: Path = Field(
        DATA / "images",
        description="Folder of the image files, with a bucket of those on their way there; outside a clone: below the "
        "user's data folder",
    )
    store: StorePlace = Field(
        "", description="Where the image files are kept: a folder or s3://bucket/prefix; empty: --uploads_dir"
    )
    store_endpoint: Endpoint = Field(
        "", description="URL of the bucket's server, as https://s3.example.org; empty: Amazon's, or AWS_ENDPOINT_URL"
    )
    store_region: Region = Field("", description="Region of the bucket; empty: AWS_REGION, or us-east-1")
    store_style: StoreStyle = Field(
        StoreStyle.PATH, description="How URLs name the bucket: path (server/bucket) or virtual (bucket.server)"
    )
    store_ca_file: File = Field(
        "", description="File of certificates, beside the system's, that may vouch for the bucket's server"
    )
    max_downloads: int = Field(
        200, ge=1, description="Files of a bucket that are sent at once; more are answered with 503"
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0: all of the machine's")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0: any free port")
    chunk_size: int = Field(1000, ge=1, le=100_000, description="Images in one chunk of a list")
    pool_size: int = Field(8, ge=1, le=1000, description="Database connections for everything but lists")
    stream_pool_size: int = Field(8, ge=1, le=1000, description="Database connections for lists")
    max_streams: int = Field(1000, ge=1, description="Concurrent lists; more are answered with 503")
    stream_lease: Seconds = Field(
        1, ge=0.001, description="Seconds a list may hold a connection while its client is not reading"
    )
    stream_patience: Seconds = Field(30, ge=0, description="Seconds that a list waits for an unreachable database")
    send_timeout: Seconds = Field(60, ge=0.001, description="Seconds without progress before a client is dropped")
    connect_timeout: Seconds = Field(2, ge=0.001, description="Seconds to wait for the database to accept a connection")
    acquire_timeout: Seconds = Field(5, ge=0.001, description="Seconds to wait for a free connection")
    statement_timeout: Seconds = Field(15, ge=0.001, description="Seconds that one statement may take")
    lock_timeout: Seconds = Field(3, ge=0.001, description="Seconds that a statement may wait for a lock")
    max_upload_size: int = Field(256 * 2**20, ge=1, description="Largest uploaded file, in bytes")
    max_pixels: int = Field(100_000_000, ge=1, description="Largest picture, in pixels; all frames together")
    max_attachments: int = Field(1000, ge=1, description="Most attachments of one image")
    max_uploads: int = Field(100, ge=1, description="Concurrent uploads; more are answered with 503")
    decode_memory: int = Field(512 * 2**20, ge=64 * 2**20, description="Total memory for decoding pictures, in bytes")
    collect_interval: Seconds = Field(3600, ge=0, description="Seconds between removals of orphaned files; 0: never")
    collect_grace: Annotated[float, Field(allow_inf_nan=False)] = Field(
        86400, ge=60, description="Seconds before an orphaned file may be removed"
    )
    body_timeout: Seconds = Field(30, ge=0.001, description="Seconds in which each 16 KiB of a request must arrive")
    thumbnail_widths: Widths = Field(
        "160,320,640,1280", validate_default=True, description="Widths of thumbnails, in pixels"
    )
    eager_widths: Widths = Field(
        EAGER, validate_default=True, description="Widths of thumbnails made at the upload; empty: none"
    )
    accel_location: str = Field(
        "", pattern="^(/.*/)?$", description="nginx's internal location of the files; empty: the service sends them"
    )
    access: Access = Field(Access.OPEN, description="Who may call: open, keys-to-write or keys")
    cors_origins: Origins = Field(
        "", validate_default=True, description="Origins of other sites whose pages may call, as https://example.org"
    )
    allowed_hosts: Hosts = Field(
        "",
        validate_default=True,
        description="Names by which it may be called; empty: any, on the loopback its own",
    )
    trusted_proxies: Annotated[Networks, NoDecode, BeforeValidator(_networks)] = Field(
        "",
        validate_default=True,
        description="Networks of proxies whose X-Forwarded-For is believed, as 10.0.0.0/8",
    )
    base_path: BasePath = Field("", description="Path below which a proxy publishes the service, as /pics")
    access_log: AccessLog = Field(AccessLog.OFF, description="A line for each request: off, text or json")
    workers: Workers = Field("1", validate_default=True, description="Processes that serve; auto: one a processor")
    min_free_bytes: int = Field(
        2**30, ge=0, description="Free bytes of the store below which it is reported as nearly full"
    )
    max_replica_lag: Seconds = Field(30, ge=0, description="Seconds of lag above which a replica is reported as behind")
    grace_period: Seconds = Field(20, ge=0, description="Seconds for requests in flight to finish at shutdown")

    @property
    def files_dir(self) -> Path:
        """The folder of the image files, unless they are in a bucket."""
        return Path(self.store) if self.store else self.uploads_dir

    @field_validator("eager_widths")
    @classmethod
    def _are_widths(cls, chosen: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        known = info.data.get("thumbnail_widths", chosen)
        if chosen == _widths(EAGER):  # the default holds where the other widths are one's own
            return tuple(width for width in chosen if width in known)
        if not {*chosen} <= {*known}:
            raise PydanticCustomError("eager_widths", "they must be among those of --thumbnail_widths")
        return chosen

    @model_validator(mode="before")
    @classmethod
    def _choose_folders(cls, given: dict[str, Any]) -> dict[str, Any]:
        folder = _data_dir()
        # Elsewhere an empty variable is none.
        eager = {"eager_widths": ""} if os.environ.get(variable("eager_widths")) == "" else {}
        return {"database_dir": folder / "db", "uploads_dir": folder / "images", **eager, **given}


class _Help(argparse.RawDescriptionHelpFormatter):
    """Leaves out defaults that are empty."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help and action.help.replace(" (default: )", "")


def read_settings(arguments: list[str] | None = None) -> Settings:
    """Return the settings of the environment, overridden by command-line `arguments`; default: the process's own.

    A bad value ends the process with status 2 and one sentence that names the setting.
    """
    try:
        flags = CliSettingsSource[argparse.ArgumentParser](Settings, formatter_class=_Help)
        flags.env_ignore_empty = False  # an empty variable may come from an empty line; an empty flag is meant
        return Settings(_cli_settings_source=flags(args=True if arguments is None else arguments))  # type: ignore[call-arg]  # pydantic-settings' own
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        why = SENTENCES.get(first["type"], "{msg}").format(msg=first["msg"], **first.get("ctx", {}))
        sentence = f"The setting --{name} ({variable(name)}) is invalid: {why}"
    except SettingsError as error:
        sentence = f"The settings are invalid: {error}"
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return name.upper() if name.startswith("postgres_") else f"KT_IMAGES_{name.upper()}"
