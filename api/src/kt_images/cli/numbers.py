"""Numbers among the options, checked in a sentence of our own."""

import re
from collections.abc import Callable
from datetime import timedelta

from kt_images.cli.errors import MisusedError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}  # in seconds
LONGEST = timedelta(days=36_500)
MOST_DIGITS = 1000  # int() has a limit


def whole(option: str, lowest: int, highest: int | None = None) -> Callable[[object], int]:
    """Return a parser for the option, which raises MisusedError for anything but a whole number within the bounds."""
    bounds = f"from {lowest} on" if highest is None else f"from {lowest} to {highest}"

    def parse(value: object) -> int:
        text = str(value)  # a default is a number already
        if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS:
            number = int(text)
            if lowest <= number and (highest is None or number <= highest):
                return number
        raise MisusedError(f"{option}: a whole number {bounds}, not {text[:40]!r}")

    return parse


def seconds(option: str) -> Callable[[object], float]:
    """Return a parser for the option, which raises MisusedError for anything but a number of seconds."""

    def parse(value: object) -> float:
        try:
            if (number := float(str(value))) >= 0:
                return number
        except ValueError:
            pass
        raise MisusedError(f"{option}: a number of seconds from 0 on, not {str(value)[:40]!r}")

    return parse


def duration(option: str) -> Callable[[object], timedelta]:
    """Return a parser for the option, which raises MisusedError for anything but a duration such as 90d."""

    def parse(value: object) -> timedelta:
        found = re.fullmatch("([0-9]{1,9})([smhd])", str(value))
        if found and (length := timedelta(seconds=int(found[1]) * UNITS[found[2]])) <= LONGEST:
            return length
        raise MisusedError(f"{option}: a number of s, m, h or d, as in 90d, not {str(value)[:40]!r}")

    return parse
