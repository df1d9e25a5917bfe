"""What a check finds, printed as it is found."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

MEANINGS = {
    "missing": "its row exists, its object does not",
    "different": "its object is not the one that was stored",
    "unreadable": "the disk cannot read its object",
    "orphan": "no row names this object, and the collector does not know it",
    "unfinished": "left by an interrupted upload",
    "foreign": "the store gives no object such a name",
    "miscounted": "this tag, or all images if it is empty, is counted wrongly",
}
REPAIRS = {"orphan": "left to the collector", "unfinished": "removed", "miscounted": "counted anew"}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row, an object, or the count of a tag."""

    problem: str
    object: str
    image_id: int | None = None
    filename: str | None = None
    repaired: bool = False

    def as_repaired(self) -> Self:
        """Return the problem once it is dealt with."""
        return dataclasses.replace(self, repaired=True)

    def __str__(self) -> str:
        # As JSON, so that no name from outside reaches the terminal as it is.
        row = f", image {self.image_id} {json.dumps(self.filename)}" if self.filename else ""
        repair = f"; {REPAIRS[self.problem]}" if self.repaired else ""
        return f"{self.problem}: {json.dumps(self.object)}{row}: {MEANINGS[self.problem]}{repair}"


class Report:
    """Prints problems for people, or as lines of JSON for programs, and the totals last."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self.rows = self.objects = self.waiting = self._repaired = 0

    def add(self, problem: Problem) -> None:
        """Print a problem."""
        self._counts[problem.problem] += 1
        self._repaired += problem.repaired
        print(json.dumps(dataclasses.asdict(problem)) if self._as_json else problem)

    def end(self) -> int:
        """Print the totals; return the exit status."""
        print(self._totals_as_json() if self._as_json else self._totals())
        return 1 if self._counts.total() > self._repaired else 0

    def _totals_as_json(self) -> str:
        totals = {"rows": self.rows, "objects": self.objects, "problems": self._counts.total()}
        counts = {name: self._counts[name] for name in MEANINGS}
        return json.dumps({**totals, "repaired": self._repaired, **counts, "waiting": self.waiting})

    def _totals(self) -> str:
        found = [f"{self._counts[name]:,} {name}" for name in MEANINGS if self._counts[name]] or ["all is well"]
        found += [f"{self._repaired:,} repaired"] if self._repaired else []
        found += [f"{self.waiting:,} for the collector"] if self.waiting else []
        return f"{counted(self.rows, 'row')}, {counted(self.objects, 'object')}: {', '.join(found)}"


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: 1 image, 2,000 images."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def summary(totals: Mapping[str, int]) -> str:
    """Return how much a backup or a restore has copied."""
    parts = (("images", "image"), ("attachments", "file"), ("bytes", "byte"))
    return ", ".join(counted(totals[key], noun) for key, noun in parts)
