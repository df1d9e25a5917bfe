"""The client of a bucket: obstore, set up so that it neither waits for ever nor gives up at the first trouble.

Its methods block and belong into threads, which gives what obstore's futures lack: a call that is not awaited any more
comes to its end all the same, and the interpreter waits for it before it exits.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from kt_images.base_settings import Settings, StoreStyle
from kt_images.errors import UnavailableError, translated_errors
from kt_images.files import credentials
from kt_images.files.bucket_failures import translate
from kt_images.files.place import Place

# A server that says nothing is asked three times. One that refuses at once, as while it is restarted, is asked more
# often, at growing distances, within some two seconds.
CONNECT, READ = timedelta(seconds=2), timedelta(seconds=5)
RETRIES, LAST_RETRY = 4, timedelta(seconds=12)
# A stream lasts as long as its reader does.
ENDLESS = timedelta(days=1)
# For what is sent in one request. The time to read an answer would begin with the first byte that is sent.
SEND = timedelta(seconds=30)

# In one request up to this size, in parts of it above: what is left of parts when the service is killed, nobody sees.
PART = 8 * 2**20
MOST_PARTS = 10_000
AT_ONCE = 2

# Given by a listing at once.
STEP = 250
# For how long whoever has an address may use it. Clocks differ.
ADDRESS_LIFE = timedelta(minutes=5)


class Stream:
    """The bytes of an object that are on their way here; the first piece has come, which is all of a small one."""

    def __init__(self, found: "obstore.GetResult", piece: int) -> None:
        self.size: int = found.meta["size"]  # of the whole object
        self._pieces: obstore.BytesStream | None = found.stream(min_chunk_size=piece)
        self._first = self.next()

    def at_hand(self) -> bytes:
        """Return the first piece, without waiting, and forget it."""
        first, self._first = self._first, b""
        return first

    def next(self) -> bytes:
        """Return the next piece after the first, nothing at the end. Raises UnavailableError."""
        if self._pieces is None:
            return b""
        with translated_errors(translate):
            return bytes(next(self._pieces, b""))

    def close(self) -> None:
        """Break the connection, if not everything came."""
        self._pieces = None


class Client:
    """Objects in a bucket by their names. Each method raises UnavailableError, those that write DiskFullError too."""

    def __init__(self, place: Place, settings: Settings) -> None:
        """Reach nothing yet. Raises UnavailableError without credentials."""
        with translated_errors(translate):
            self._reading = _store(place, settings, read_timeout=READ, timeout=ENDLESS)
            self._writing = _store(place, settings, timeout=SEND)

    def get(self, name: str) -> bytes:
        """Return a small object. Raises MissingError."""
        with translated_errors(translate):
            return bytes(obstore.get(self._reading, name).bytes())

    def size(self, name: str) -> int:
        """Return an object's size. Raises MissingError, also when the whole bucket is gone."""
        with translated_errors(translate):
            return int(obstore.head(self._reading, name)["size"])

    def open(self, name: str, part: range | None, piece: int) -> Stream:
        """Ask for an object or a part of it, in pieces of that size. Raises MissingError."""
        options: obstore.GetOptions = {"range": (part.start, part.stop)} if part else {}
        with translated_errors(translate):
            return Stream(obstore.get(self._reading, name, options=options), piece)

    def put(self, name: str, content: bytes | Path, content_type: str, size: int) -> None:
        """Store the bytes or the file, replacing what is there."""
        attributes: obstore.Attributes = {"Content-Type": content_type}
        with translated_errors(translate):
            if size <= PART:
                whole = content.read_bytes() if isinstance(content, Path) else content
                obstore.put(self._writing, name, whole, attributes=attributes, use_multipart=False)
                return
            obstore.put(
                self._writing,
                name,
                content,
                attributes=attributes,
                use_multipart=True,
                chunk_size=max(PART, -(-size // MOST_PARTS)),
                max_concurrency=AT_ONCE,
            )

    def put_first(self, name: str, content: bytes) -> None:
        """Store the bytes unless there is an object, which may also be this one: the answer to it can be lost."""
        with translated_errors(translate):
            try:
                obstore.put(self._writing, name, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return

    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects that are there."""
        with translated_errors(translate):
            obstore.delete(self._writing, names)

    def list(self, prefix: str) -> "Listing":
        """List the objects whose names begin with the prefix, which ends with a slash."""
        with translated_errors(translate):
            return Listing(obstore.list(self._reading, prefix.rstrip("/"), chunk_size=STEP))

    def address(self, name: str) -> str:
        """Return the path and the query of a URL by which the object can be read for some minutes, without a key."""
        with translated_errors(translate):
            signed = urlsplit(obstore.sign(self._reading, "GET", name, ADDRESS_LIFE))
        return urlunsplit(("", "", signed.path, signed.query, ""))


class Listing:
    """What a bucket has, some hundreds of objects at a time."""

    def __init__(self, steps: "Iterable[Sequence[obstore.ObjectMeta]]") -> None:
        self._steps: Iterator[Sequence[obstore.ObjectMeta]] = iter(steps)

    def next(self) -> "Sequence[obstore.ObjectMeta] | None":
        """Return the next objects in the order of their names, None at the end. Raises UnavailableError."""
        with translated_errors(translate):
            return next(self._steps, None)


def _store(place: Place, settings: Settings, **timeouts: timedelta) -> S3Store:
    endpoint = settings.store_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    is_virtual = settings.store_style is StoreStyle.VIRTUAL
    config: obstore.store.S3Config = {
        "virtual_hosted_style_request": is_virtual,
        # Servers compare it with what they receive, and keep it.
        "checksum_algorithm": "SHA256",
    }
    client: obstore.store.ClientConfig = {
        "connect_timeout": CONNECT,
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
        **timeouts,  # type: ignore[typeddict-item]  # of the keys of ClientConfig
    }
    if endpoint:
        config["endpoint"] = _with_bucket(endpoint, place.bucket) if is_virtual else endpoint
    if settings.store_region:
        config["region"] = settings.store_region
    if settings.store_ca_file:
        client["root_certificate"] = _certificate(Path(settings.store_ca_file))
    return S3Store(
        place.bucket,
        config=config,
        client_options=client,
        retry_config={"max_retries": RETRIES, "retry_timeout": LAST_RETRY},
        credential_provider=credentials.provider(),  # type: ignore[arg-type]  # a TypedDict of ours, with the same keys
    )


def _with_bucket(endpoint: str, bucket: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{bucket}.{rest}"


def _certificate(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"The file of --store_ca_file cannot be read: {error.strerror}") from error
