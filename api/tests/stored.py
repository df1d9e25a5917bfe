"""What lies in the folder of the files."""

import os


def stored_files(settings):
    """Return the names of all files but the store's own marker, temporary ones too."""
    return [name for _, _, names in os.walk(settings.uploads_dir) for name in names if name != "store.json"]
