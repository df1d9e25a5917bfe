"""The environment and the command line, read once into one frozen object."""

import sys
from pathlib import Path
from typing import Annotated

import psycopg2.extensions
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError


def _dsn(text: str) -> str:
    try:
        psycopg2.extensions.parse_dsn(text)
    except psycopg2.ProgrammingError:
        # libpq's own message repeats the text, and with it a password.
        raise PydanticCustomError("dsn", "Not a PostgreSQL connection string") from None
    return text


def _widths(value: object) -> object:
    # As it stands in the environment and behind the flag: 160,320
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=16383)], ...], NoDecode, BeforeValidator(_widths)]


# No limit at all is spelled as a day.
Seconds = Annotated[float, Field(le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Store images and their tags, and give them back. Without --postgres_dsn on a PostgreSQL of its own."""

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
        description="The database, as a libpq connection string or URL; empty: an embedded PostgreSQL",
    )
    postgres_replica_dsn: Annotated[str, AfterValidator(_dsn)] = Field(
        "",
        validation_alias="postgres_replica_dsn",
        repr=False,
        description="Streaming replicas to read images and lists from; empty: read from the primary",
    )
    database_dir: Path = Field(Path("data/db"), description="Where the embedded PostgreSQL keeps its data")
    uploads_dir: Path = Field(Path("data/images"), description="Where the image files are kept")
    host: str = Field("0.0.0.0", description="Address to listen on")  # noqa: S104 (a service in a container)
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0: any free one")
    chunk_size: int = Field(1000, ge=1, le=100_000, description="Images in one chunk of a list")
    pool_size: int = Field(8, ge=1, le=1000, description="Database connections for everything but lists")
    stream_pool_size: int = Field(8, ge=1, le=1000, description="Database connections for lists")
    max_streams: int = Field(1000, ge=1, description="Lists sent at the same time; more are answered with 503")
    stream_lease: Seconds = Field(1, ge=0.001, description="Seconds that a connection waits for a list's reader")
    stream_patience: Seconds = Field(30, ge=0, description="Seconds that a list waits for a database that has gone")
    send_timeout: Seconds = Field(60, ge=0.001, description="Seconds in which a client must take something")
    connect_timeout: Seconds = Field(2, ge=0.001, description="Seconds to wait for a connection to be made")
    acquire_timeout: Seconds = Field(5, ge=0.001, description="Seconds to wait for a free connection")
    statement_timeout: Seconds = Field(15, ge=0.001, description="Seconds that one statement may take")
    lock_timeout: Seconds = Field(3, ge=0.001, description="Seconds that a statement may wait for a lock")
    max_upload_size: int = Field(256 * 2**20, ge=1, description="Bytes of one uploaded file at most")
    max_pixels: int = Field(100_000_000, ge=1, description="Pixels of one picture at most")
    collect_interval: Seconds = Field(3600, ge=0, description="Seconds between two collections of files; 0: none")
    collect_grace: Annotated[float, Field(allow_inf_nan=False)] = Field(
        86400, ge=60, description="Seconds that a file without a row is left alone"
    )
    body_timeout: Seconds = Field(30, ge=0.001, description="Seconds in which a body has to bring its next 16 KiB")
    thumbnail_widths: Widths = Field(
        (160, 320, 640, 1280), description="Widths of the smaller pictures that can be asked for, in pixels"
    )
    accel_location: str = Field(
        "", pattern="^(/.*/)?$", description="nginx's internal location of the objects; empty: no nginx sends the files"
    )
    grace_period: Seconds = Field(20, ge=0, description="Seconds that requests in flight get to finish at the end")


def read_settings(arguments: list[str] | None = None) -> Settings:
    """Return the settings of the environment, overridden by command line `arguments` where given.

    Ends the process with status 2 and one sentence that names the setting when a value is bad.
    """
    try:
        return Settings(_cli_parse_args=arguments if arguments is not None else True)  # type: ignore[call-arg]  # pydantic-settings' own
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        sentence = f"The setting --{name} ({variable(name)}) is not usable: {first['msg']}"
    except SettingsError as error:
        sentence = f"The settings are not usable: {error}"
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return name.upper() if name.startswith("postgres_") else f"KT_IMAGES_{name.upper()}"
