"""Which store the settings name."""

from kt_images.base_settings import Settings
from kt_images.files.disk import Disk
from kt_images.files.store import Store
from kt_images.presence import Presence


def store_of(settings: Settings, presence: Presence | None = None) -> Store:
    """Return the store that the settings name; a service's `presence` is told whether it can be reached."""
    return Disk(settings.uploads_dir, presence)
