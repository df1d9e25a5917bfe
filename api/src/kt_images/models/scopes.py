"""Scopes: what a key lets its holder do."""

from enum import StrEnum


class Scope(StrEnum):
    """A kind of call. A key has some of them; each call needs one."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    ADMIN = "admin"
    METRICS = "metrics"
