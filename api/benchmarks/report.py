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

from benchmarks.rows import Row, number

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"
PLOT = FOLDER / "results.svg"
BEGIN, END = "<!-- written by make bench -->\n", "<!-- end -->\n"
PEERS = ("aiohttp", "aiopg", "fastapi", "uvicorn", "uvloop", "asyncpg", "orjson", "msgspec")
# A logarithm knows no zero: what is less or more is drawn here.
LEAST_SHARE, MOST_SHARE = 1 / 16, 32
MET, MISSED = "#2a7f4f", "#c0392b"

Results = dict[str, list[Row]]


def write(measured: Results, order: Iterable[str], postgresql: str) -> None:
    """Put the rows in the place of the same measurements' earlier ones, and renew the table and the plot."""
    kept = _read() | measured
    kept = {name: kept[name] for name in order if name in kept}
    machine = _machine(postgresql)
    picture = f"![Each row as a share of its target]({PLOT.name})"
    RESULTS.write_text(_json({"machine": machine, "measurements": kept}))
    rows = [row for rows in kept.values() for row in rows]
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{table(rows)}\n{picture}\n\n{machine}\n\n{END}{after}")
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
    mpl.rcParams |= {
        "svg.hashsalt": "benchmarks",
        "svg.fonttype": "none",
        "font.sans-serif": ["DejaVu Sans", "sans-serif"],
    }
    figure = Figure(figsize=(12, 0.45 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        shares = [_share(row, value) for value in row.values]
        color = MET if row.is_met else MISSED
        axes.plot([min(shares), max(shares)], [place, place], color=color, linewidth=6, alpha=0.3)
        axes.plot(_share(row, row.median), place, "o", color=color, markersize=8)
    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(left=LEAST_SHARE * 0.9)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value >= 1 else f"1/{1 / value:g}")
    axes.set_xlabel("share of what is allowed, median and spread: 1 is the target, to the left of it is met")
    names = [f"{row.what}\nagainst {row.against}".replace("`", "") for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    values = axes.secondary_yaxis("right")
    values.set_yticks(range(len(rows)), [f"{number(row.median)}\n{row.target}" for row in rows], fontsize=8)
    for side in (axes, values):
        side.tick_params(axis="y", length=0)
        side.spines[:].set_visible(False)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    figure.savefig(PLOT, metadata={"Date": None})


def _share(row: Row, value: float) -> float:
    if row.at_least:
        return row.limit / max(value, row.limit / MOST_SHARE)
    return max(LEAST_SHARE, value / row.limit)
