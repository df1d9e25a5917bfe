"""Which store the settings name."""

from kt_images.base_settings import Settings
from kt_images.errors import MissingExtraError
from kt_images.files.disk import Disk
from kt_images.files.place import Place
from kt_images.files.store import Store
from kt_images.presence import Presence


def store_of(settings: Settings, presence: Presence | None = None) -> Store:
    """Return the store that the settings name; a service's `presence` is told whether it can be reached.

    Raises MissingExtraError for a bucket, if what speaks with buckets is not installed.
    """
    place = Place.parse(settings.store)
    if place is None:
        return Disk(settings.files_dir, presence)
    try:
        # An extra: whoever keeps files on a disk needs none of it.
        from kt_images.files.bucket import Bucket  # noqa: PLC0415
        from kt_images.files.s3 import Client  # noqa: PLC0415
    except ModuleNotFoundError:
        raise MissingExtraError("s3") from None
    return Bucket(place, lambda: Client(place, settings), settings.uploads_dir, settings.max_downloads, presence)


def name_of(settings: Settings) -> str:
    """Return where the files are, as whoever runs the service reads it."""
    return settings.store if Place.parse(settings.store) else str(settings.files_dir.resolve())
