"""Which names and tags the service takes, for `add --dry-run`, which does not ask it."""

import re
import unicodedata
from collections.abc import Iterator

from kt_images.cli.errors import CliError
from kt_images.cli.sources import Source

MOST_TAGS = 64
LONGEST_TAG = 100
LONGEST_NAME = 255  # bytes
FILENAME = "A filename is 1 to 255 bytes of UTF-8, without slashes, backslashes and control characters"
TAG = "A tag is 1 to 100 characters, without control characters"
TAGS = "An image has at most 64 tags"

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def refusals(source: Source) -> Iterator[str]:
    """Yield why the service would refuse the file, in sentences like its own."""
    try:
        if not is_filename(source.filename):
            yield f"the name: {FILENAME}"
    except CliError as error:
        yield str(error)
    for tag in source.tags:
        if not is_tag(tag):
            yield f"{source.origin(tag)}: {TAG}"
    if len({unicodedata.normalize("NFC", tag.strip()) for tag in source.tags}) > MOST_TAGS:
        yield f"{source.origin()}: {TAGS}"


def is_filename(text: str) -> bool:
    """Return whether the service takes the text for an image's name."""
    if _FORBIDDEN.search(text) or text in {".", ".."} or set(text) & set("/\\"):
        return False
    return 1 <= len(unicodedata.normalize("NFC", text).encode()) <= LONGEST_NAME


def is_tag(text: str) -> bool:
    """Return whether the service takes the text for a tag."""
    tag = text.strip()
    return not _FORBIDDEN.search(tag) and 1 <= len(unicodedata.normalize("NFC", tag)) <= LONGEST_TAG
