"""What the process says of itself: how a line is written, which request it belongs to, and what is said seldom.

A line is one line, whatever it quotes: what is not printable is escaped. Only the lines of a stack follow on lines of
their own, which begin so that nobody takes them for others.
"""

import json
import logging
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

# Of the request that is being answered; empty outside one. A task inherits it from whoever creates it.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# A line for each request, at this level.
access = logging.getLogger("kt_images.access")
EACH_REQUEST = logging.INFO

logger = logging.getLogger(__name__)

# What stays so until somebody mends it, however many requests meet it.
faults = logging.getLogger("kt_images.faults")
FAULTS_SECONDS = 3600.0  # between two lines of the same text
MOST_FAULTS = 10_000  # whose lines are remembered

# Before each line of a stack.
CONTINUED = "\n    | "
SECONDS = 1.0


def begin(access_log: str) -> None:
    """Write all lines of the process to stderr from now on, as objects with `json`; one a request unless `off`."""
    as_json = access_log == "json"
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if as_json else _Text())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    access.setLevel(logging.WARNING if access_log == "off" else EACH_REQUEST)
    if as_json:
        sys.excepthook = _log_uncaught


def say(text: str, file: TextIO | None = None) -> None:
    """Tell whoever started the process, on stdout unless said otherwise; in a log of JSON, as a line of it."""
    if any(isinstance(handler.formatter, _Json) for handler in logging.root.handlers):
        logger.warning("%s", text)
    else:
        print(text, file=file or sys.stdout, flush=True)


def printable(text: str) -> str:
    """Return the text with everything escaped that moves a cursor, ends a line, or does not show."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class _Text(logging.Formatter):
    """As in `2026-10-05 12:00:00,123 WARNING kt_images.presence [4f1c…]: The store cannot be reached`."""

    def format(self, record: logging.LogRecord) -> str:
        of_request = f" [{one}]" if (one := request_id.get()) else ""
        head = f"{self.formatTime(record)} {record.levelname} {record.name}{of_request}: "
        return CONTINUED.join([head + printable(record.getMessage()), *map(printable, self._stack(record))])

    def _stack(self, record: logging.LogRecord) -> list[str]:
        stack = self.formatException(record.exc_info) if record.exc_info else ""
        return f"{stack}\n{record.stack_info or ''}".strip().splitlines()


class _Json(_Text):
    """One object a line. The values of a message that names them are members of their own."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if one := request_id.get():
            line["request_id"] = one
        if isinstance(record.args, dict):
            line |= record.args
        if stack := self._stack(record):
            line["stack"] = [printable(one) for one in stack]
        return json.dumps(line)


def _log_uncaught(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
    logger.critical("The process ends", exc_info=(kind, error, stack))


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


class _EachOnce(logging.Filter):
    """Drops a record of a text that was passed within the hour."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}  # the oldest first

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = record.getMessage(), time.monotonic()
        if now - self._passed.get(text, -FAULTS_SECONDS) < FAULTS_SECONDS:
            return False
        self._passed.pop(text, None)
        self._passed[text] = now
        if len(self._passed) > MOST_FAULTS:
            del self._passed[next(iter(self._passed))]
        return True


faults.addFilter(_EachOnce())


def sparing_logger(name: str) -> logging.Logger:
    """Return the logger of this name, made sparing. A message's wording is a constant, its values are arguments.

    For warnings that a crowd of clients can cause.
    """
    logger = logging.getLogger(name)
    logger.addFilter(_Sparing())
    return logger
