"""`python3 -m benchmarks.dashboard http://localhost:9090 dashboard.png`: what Grafana's dashboard shows, as a picture.

Each panel with lines is drawn from what a Prometheus that runs answers to its queries, for the last ten minutes or
since it began.
"""

import argparse
import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

DASHBOARD = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards" / "kt-images.json"

SECONDS, STEP = 600, 2
# For Grafana's variables.
VALUES = {"$__rate_interval": "15s", "$instance": ".*", "[1h]": "[10m]"}
COLUMNS = 3


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description="Draw the dashboard from what a Prometheus answers.")
    parser.add_argument("prometheus", help="its URL")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    panels = [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] == "timeseries"]
    mpl.use("agg")
    from matplotlib import pyplot  # noqa: PLC0415 (after the choice of a backend)

    rows = -(-len(panels) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(4 * COLUMNS, 1.7 * rows), layout="constrained")
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes.flat, panels, strict=False):
        for target in panel["targets"]:
            for series in answers(arguments.prometheus, target["expr"]):
                times, values = zip(*series["values"], strict=True)
                axis.plot([one - time.time() for one in times], [float(one) for one in values], linewidth=0.8,
                          label=_legend(target["legendFormat"], series["metric"]))  # fmt: skip
        axis.set_title(f"{panel['title']} ({panel['fieldConfig']['defaults']['unit']})", fontsize=7)
        # Where nothing was counted, a quantile is not a number.
        axis.set_ylim(0, 1.1 * max((np.nanmax([0, *line.get_ydata()]) for line in axis.lines), default=0) or 1)
        axis.tick_params(labelsize=5)
        if axis.lines:
            axis.legend(fontsize=4.5, frameon=False, loc="upper left")
    figure.savefig(arguments.picture, dpi=85)
    with Image.open(arguments.picture) as drawn:
        small = drawn.convert("RGB").quantize(128)
    small.save(arguments.picture, optimize=True)


def answers(prometheus: str, query: str) -> list[Any]:
    """Return the series that Prometheus finds for a panel's query."""
    for name, value in VALUES.items():
        query = query.replace(name, value)
    now = time.time()
    asked = urllib.parse.urlencode({"query": query, "start": now - SECONDS, "end": now, "step": STEP})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{asked}", timeout=30) as answer:  # noqa: S310 (http)
        found: list[Any] = json.load(answer)["data"]["result"]
    return found


def _legend(template: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        template = template.replace(f"{{{{{name}}}}}", value)
    return template


if __name__ == "__main__":
    main()
