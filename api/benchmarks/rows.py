"""What a measurement gives, and how contestants take turns."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class LeftOutError(Exception):
    """The machine lacks what a measurement needs; a sentence says what."""


@dataclass(frozen=True)
class Run:
    """What all measurements of one run share: how many images, how many rounds, and the server's DSN."""

    images: int
    rounds: int
    server: str


@dataclass(frozen=True)
class Row:
    """A line of the table: what is measured against what, what is to be reached, and a value for each round.

    `limit` is the most that `values` may be, or the least where `at_least` is set. `seen` are the medians behind the
    ratios. `limit` and `unit` read as a sentence: at most 0.45 of its time.
    """

    what: str
    against: str
    limit: float
    unit: str
    values: Sequence[float]
    at_least: bool = False
    seen: dict[str, str] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool:
        return self.median >= self.limit if self.at_least else self.median <= self.limit

    @property
    def target(self) -> str:
        """The limit in words."""
        return f"at {'least' if self.at_least else 'most'} {number(self.limit)} {self.unit}"

    @property
    def measured(self) -> str:
        """The median and its spread in words."""
        least, most = number(min(self.values)), number(max(self.values))
        spread = f" ({least} to {most})" if least != most else ""
        return f"{number(self.median)}{spread}"


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def alternate(contestants: dict[str, Callable[[], float]], rounds: int, turns: int = 1) -> dict[str, list[float]]:
    """Let the contestants take turns, each time beginning with another one; return each one's values by round.

    A round's value is the median of its turns: many short ones where the machine's mood changes within seconds. A turn
    before the first one warms caches and connections, and is not counted.
    """
    names = list(contestants)
    values: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(1 + rounds * turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            value = contestants[name]()
            if turn:
                values[name].append(value)
    return {
        name: [statistics.median(of_it[start : start + turns]) for start in range(0, len(of_it), turns)]
        for name, of_it in values.items()
    }


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Divide round by round: what slows the machine for a while slows both."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def medians(values: dict[str, list[float]], unit: str) -> dict[str, str]:
    """Return each contestant's median in words."""
    return {name: f"{number(statistics.median(of_it))} {unit}" for name, of_it in values.items()}
