"""A store's marker: a small JSON object beside its objects, with the id that tells the store from others."""

import json
import uuid

NAME = "store.json"


def new() -> bytes:
    """Return the marker of a new store."""
    return json.dumps({"store_id": str(uuid.uuid4())}).encode()


def read_id(content: bytes) -> str:
    """Return the id in a marker; empty for what is none."""
    try:
        return str(json.loads(content)["store_id"])
    except (ValueError, KeyError, TypeError):
        return ""
