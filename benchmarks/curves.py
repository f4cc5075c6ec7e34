"""The picture of docs/results.md's attacks: judged success against ε, a panel for each comparison.

    python -m benchmarks.curves      # writes docs/attacks.png

Measures nothing: reads the attacks' tables of docs/results.md, of the gradient's columns.
"""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.glance import Rows, rows_of, title_of
from benchmarks.paper import EXPERIMENTS, RESULTS
from unfeature.report.plots import COLORS, FAINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = Path("docs/attacks.png")
BLUE, RED, GREEN, ORANGE, *_ = COLORS
LINES = {"original": FAINT, "oracle": ORANGE, "paper": RED, "ours": BLUE, "robust": GREEN}
COLUMN = "gradient, ε = "


class Point(NamedTuple):
    """Success at one radius, in percent, with its interval where the table has one."""

    epsilon: float
    value: float
    low: float
    high: float


def main() -> None:
    text = RESULTS.read_text()
    figure = panels(text, sorted(path.stem for path in EXPERIMENTS.glob("*.toml")))
    figure.savefig(PICTURE, dpi=100)
    print(PICTURE)


def curve(rows: Rows, name: str) -> list[Point]:
    """A generator's points by rising radius; of an original or an oracle that was attacked in two
    spaces, the first. None where the table has no such row."""
    row = next((rows[key] for key in rows if key.partition(" (")[0] == name), {})
    found = []
    for head, cell in row.items():
        numbers = re.findall(r"([\d.]+)%", cell.partition("(")[0])
        if head.startswith(COLUMN) and numbers:
            radius = head.removeprefix(COLUMN)
            epsilon = math.inf if radius == "∞" else float(radius)
            value, low, high = map(float, numbers if len(numbers) == 3 else numbers[:1] * 3)
            found.append(Point(epsilon, value, low, high))
    return sorted(found)


def panels(text: str, names: list[str], *, columns: int = 4) -> "Figure":
    """A panel for each comparison whose attacks the document has."""
    from matplotlib.figure import Figure

    tables = {name: rows_of(text, f"attacks {name}") for name in names}
    known = [name for name in names if tables[name]]
    down = math.ceil((len(known) + 1) / columns)  # one for the legend
    figure = Figure(figsize=(3.1 * columns, 2.5 * down), layout="constrained")
    grid = figure.subplots(down, columns, sharey=True, squeeze=False).flatten()
    for axes, name in zip(grid, known, strict=False):
        _panel(axes, tables[name], title_of(text, name))
    for axes in grid[len(known) :]:
        axes.axis("off")
    grid[len(known)].legend(*grid[0].get_legend_handles_labels(), loc="center", frameon=False)
    return figure


def _panel(axes: "Axes", rows: Rows, title: str) -> None:
    for name, color in LINES.items():
        points = curve(rows, name)
        xs = [3.0 if math.isinf(point.epsilon) else point.epsilon for point in points]
        ys, low, high = ([getattr(point, key) for point in points] for key in Point._fields[1:])
        axes.plot(xs, ys, color=color, label=name, marker="o", markersize=3)
        axes.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_title(title, fontsize=9)
    axes.set_xticks([0.5, 1, 2, 3], ["0.5", "1", "2", "∞"])
    axes.set_xlim(0.4, 3.1)
    axes.set_ylim(-2, 102)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel("judged success, %", fontsize=8)


if __name__ == "__main__":
    main()
