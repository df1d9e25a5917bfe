"""Warnings that a crowd of clients can cause: each is logged once a second at most."""

import logging
import time

SECONDS = 1.0


class _Sparing(logging.Filter):
    """Drops a record when one of the same wording was passed a moment ago, except errors."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        now = time.monotonic()
        if now - self._passed.get(record.msg, -SECONDS) < SECONDS:
            return False
        self._passed[record.msg] = now
        return True


def sparing_logger(name: str) -> logging.Logger:
    """Return the logger of this name, made sparing. A message's wording is a constant, its values are arguments."""
    logger = logging.getLogger(name)
    logger.addFilter(_Sparing())
    return logger
