"""The results: kept in results.json, shown as a table and a plot in README.md, for each machine's reader to judge."""

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.rows import Row

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"
PLOT = FOLDER / "results.svg"
BEGIN, END = "<!-- written by make bench -->\n", "<!-- end -->\n"
PEERS = ("aiohttp", "aiopg", "fastapi", "uvicorn", "uvloop", "asyncpg", "orjson")
MET, MISSED = "#2a7f4f", "#c0392b"

Results = dict[str, list[Row]]


def write(measured: Results, order: Iterable[str], postgresql: str) -> None:
    """Put the rows in the place of the same measurements' earlier ones, and renew the table and the plot."""
    kept = _read() | measured
    kept = {name: kept[name] for name in order if name in kept}
    machine = _machine(postgresql)
    RESULTS.write_text(_json({"machine": machine, "measurements": kept}))
    rows = [row for rows in kept.values() for row in rows]
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{table(rows)}\n![]({PLOT.name})\n\n{machine}\n\n{END}{after}")
    _plot(rows)


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | against | to reach | measured | | medians |", "|---|---|---|---|---|---|"]
    for row in rows:
        seen = ", ".join(f"{name} {value}" for name, value in row.seen.items())
        verdict = "met" if row.is_met else "**missed**"
        lines.append(f"| {row.what} | {row.against} | {row.target} | {row.measured} | {verdict} | {seen} |")
    return "\n".join([*lines, ""])


def _read() -> Results:
    if not RESULTS.exists():
        return {}
    measurements = json.loads(RESULTS.read_text())["measurements"]
    return {name: [Row(**row) for row in rows] for name, rows in measurements.items()}


def _json(results: dict[str, Any]) -> str:
    def plain(value: Any) -> Any:
        return dataclasses.asdict(value)

    rounded = json.loads(json.dumps(results, default=plain), parse_float=lambda text: float(f"{float(text):.4g}"))
    return json.dumps(rounded, indent=1, ensure_ascii=False) + "\n"


def _machine(postgresql: str) -> str:
    """What the numbers were measured on and with."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS)
    return (
        f"Measured on {os.cpu_count()} cores of {platform.machine()}, {memory:.0f} GB of memory, "
        f"{platform.system()} {platform.release()}, PostgreSQL {postgresql}, Python {platform.python_version()}, "
        f"{versions}."
    )


def _plot(rows: list[Row]) -> None:
    """Each row's values as a share of its target, so that all fit one axis: left of the line is met."""
    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    figure = Figure(figsize=(11, 0.42 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        shares = [_share(row, value) for value in row.values]
        color = MET if row.is_met else MISSED
        axes.plot(
            [min(shares), max(shares)], [place, place], color=color, linewidth=5, alpha=0.3, solid_capstyle="round"
        )
        axes.plot(_share(row, row.median), place, "o", color=color, markersize=7)
    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("share of what is allowed, median and spread: 1 is the target, less is better")
    axes.set_yticks(range(len(rows)), [f"{row.what}\n{row.against}, {row.target}" for row in rows], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(PLOT, metadata={"Date": None})


def _share(row: Row, value: float) -> float:
    least = 1 / 64  # a logarithm knows no zero, and a difference may be below it
    return max(least, row.limit / value if row.at_least and value else value / row.limit)
