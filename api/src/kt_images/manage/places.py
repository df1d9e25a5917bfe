"""Where stores are: as a command is given it, and as whoever runs the service reads it."""

import shlex
from collections.abc import Iterator

from kt_images.base_settings import Settings, variable
from kt_images.errors import InvalidRequestError
from kt_images.files.place import Place
from kt_images.files.stores import name_of

SERVER = ("store_endpoint", "store_region", "store_style", "store_ca_file")


def at(settings: Settings, place: str) -> Settings:
    """Return the settings with the store at that place, a folder or a bucket. Raises InvalidRequestError."""
    bucket = Place.parse(place)
    if bucket is None and ("://" in place or not place):
        raise InvalidRequestError("Name a folder or a bucket as s3://bucket or s3://bucket/prefix")
    return settings.model_copy(update={"store": str(bucket) if bucket else place})


def setting(settings: Settings) -> str:
    """Return the assignments that make it a service's store."""
    store = f"{variable('store')}={shlex.quote(name_of(settings))}"
    if not Place.parse(settings.store):
        return store
    return f"{' '.join([store, *_server(settings)])} and the bucket's credentials"


def _server(settings: Settings) -> Iterator[str]:
    """Yield the assignments that tell where the bucket is, unless it is where the service looks anyway."""
    for name in SERVER:
        if (value := getattr(settings, name)) != Settings.model_fields[name].default:
            yield f"{variable(name)}={shlex.quote(value)}"


def removal(settings: Settings) -> str:
    """Return what to do with the objects of the settings' store."""
    place = name_of(settings)
    if Place.parse(settings.store):
        return f"remove all below {place}/, with a client of your bucket"
    return f"remove them: rm -r {shlex.quote(f'{place}/objects')} {shlex.quote(f'{place}/store.json')}"


def refuse_overlap(one: Settings, other: Settings) -> None:
    """Raise InvalidRequestError when a store would lie inside the other."""
    first, second = (name_of(settings).rstrip("/") + "/" for settings in (one, other))
    if first != second and (first.startswith(second) or second.startswith(first)):
        raise InvalidRequestError("One store cannot lie inside the other; choose another place")
