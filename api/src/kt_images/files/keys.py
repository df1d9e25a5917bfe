"""The keys of objects: the only names that the store knows, made and read here and nowhere else.

    042/1042-5f0c….jpg               an object of the image 1042
    042/1042-5f0c….jpg.w320.webp     a thumbnail of it

The folder, the image's id modulo 1000, keeps any one folder small. No part of a key comes from a client.
"""

import re
import uuid

_OBJECT = re.compile(r"(?P<folder>[0-9]{3})/(?P<image_id>[1-9][0-9]{0,18})-[0-9a-f]{32}\.[a-z0-9]+")
_THUMBNAIL = re.compile(r"\.w[1-9][0-9]{0,4}\.webp")


def new_key(image_id: int, extension: str) -> str:
    """Return a key that no object has had before."""
    return f"{image_id % 1000:03}/{image_id}-{uuid.uuid4().hex}.{extension}"


def renewed(key: str) -> str:
    """Return a key that no object has had before, for the same image and extension."""
    head, _, extension = key.partition(".")
    return f"{head.rpartition('-')[0]}-{uuid.uuid4().hex}.{extension}"


def belongs_to(key: str, image_id: int, extension: str) -> bool:
    """Return whether the key is one that an object of this image with this extension may have."""
    start, end = f"{image_id % 1000:03}/{image_id}-", f".{extension}"
    return object_key(key) == key and key.startswith(start) and key.endswith(end)


def thumbnail_key(key: str, width: int) -> str:
    """Return the key of the object's thumbnail of this width."""
    return f"{key}.w{width}.webp"


def object_key(name: str) -> str | None:
    """Return the key itself, or for a thumbnail that of its object; None for a name that the store never gives."""
    found = _OBJECT.match(name)
    if not found or int(found["image_id"]) % 1000 != int(found["folder"]):
        return None
    rest = name[found.end() :]
    return found[0] if not rest or _THUMBNAIL.fullmatch(rest) else None
