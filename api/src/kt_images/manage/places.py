"""Where stores are: as a command is given it, and as whoever runs the service reads it."""

import shlex
from pathlib import Path

from kt_images.base_settings import Settings, variable
from kt_images.errors import InvalidRequestError


def at(settings: Settings, place: str) -> Settings:
    """Return the settings with the store at that place."""
    return settings.model_copy(update={"uploads_dir": Path(place)})


def name(settings: Settings) -> str:
    """Return where the settings' store is."""
    return str(settings.uploads_dir.resolve())


def setting(settings: Settings) -> str:
    """Return the assignment that makes it a service's store."""
    return f"{variable('uploads_dir')}={shlex.quote(name(settings))}"


def removal(settings: Settings) -> str:
    """Return how to remove all objects of the settings' store."""
    return f"remove them: rm -r {shlex.quote(name(settings))}"


def refuse_overlap(one: Settings, other: Settings) -> None:
    """Raise InvalidRequestError when a store would lie inside the other."""
    first, second = one.uploads_dir.resolve(), other.uploads_dir.resolve()
    if first != second and (first.is_relative_to(second) or second.is_relative_to(first)):
        raise InvalidRequestError("One store cannot lie inside the other; choose another place")
