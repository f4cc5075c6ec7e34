"""The report's charts, as SVG text."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int8
from torch import Tensor

from unfeature.report.words import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT = "#1f2933", "#9aa5b1"
OURS = ("edges", "gone", "keep")
"""Parts of the loss that are drawn where they are asked for."""
COLORS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2")


def loss_curves(history: Sequence[dict[str, Any]], smooth: int = 25) -> str:
    """The parts of the loss against the step, averaged over `smooth` steps."""
    figure, axes = _axes("step", "loss")
    names = [("recon", "L_recon"), ("unlearn", "L_unlearn"), ("percep", "L_percep")]
    names += [(key, f"L_{key}") for key in OURS if any(row.get(key) for row in history)]
    for color, (key, title) in zip(COLORS, names, strict=False):
        xs = [row["index"] for row in history][::smooth]
        ys = [
            sum(row[key] for row in history[i : i + smooth]) / len(history[i : i + smooth])
            for i in range(0, len(history), smooth)
        ]
        axes.plot(xs, ys, color=color, label=title, linewidth=1.6)
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return _svg(figure)


def ratio_curve(history: Sequence[dict[str, Any]], original: float | None) -> str:
    """The target ratio and reconstruction error at each check, as the gate's labeller sees them.

    Args:
        original: what it sees in the original's pictures, where that is known.
    """
    checks = [(row["index"], row["check"]) for row in history if row.get("check")]
    figure, axes = _axes("step", "target ratio, by the labeller")
    first = [] if original is None else [(0, {"target_ratio": original, "recon": 0.0})]
    checks = first + checks
    xs = [index for index, _ in checks]
    ratios = [check["target_ratio"] for _, check in checks]
    axes.plot(xs, ratios, color=COLORS[1], marker="o", markersize=3, label="target ratio")
    axes.set_ylim(bottom=0)
    other = axes.twinx()
    errors = [check["recon"] for _, check in checks]
    other.plot(xs, errors, color=COLORS[0], marker="o", markersize=3, label="L1 elsewhere")
    other.set_ylabel("L1 elsewhere", color=COLORS[0])
    other.set_ylim(bottom=0)
    other.spines[["top"]].set_visible(False)
    return _svg(figure)


def score_histogram(
    scores: Float[Tensor, " n"], labels: Int8[Tensor, " n"], threshold: float | None
) -> str:
    """Scores z·z_e of labelled latents, with and without the feature, and the gate's threshold."""
    figure, axes = _axes("score z·z_e", "latents")
    groups = ((1, "with the feature", COLORS[1]), (-1, "without", COLORS[0]))
    for value, title, color in groups:
        chosen = scores[labels == value].tolist()
        axes.hist(chosen, bins=40, alpha=0.55, color=color, label=title)
    if threshold is not None:
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label="threshold t")
    axes.legend(frameon=False)
    return _svg(figure)


@dataclass(frozen=True)
class Extent:
    """A figure and its interval."""

    value: float
    low: float
    high: float


def fronts(points: Sequence[tuple[str, Extent, Extent]], title: str) -> str:
    """Name, target ratio and what else changed (`title`), a point with error bars for each method;
    the lower left is better."""
    figure, axes = _axes(title, "target ratio")
    figure.set_size_inches(7.0, 4.2)
    for i, (name, target, changed) in enumerate(points):
        axes.errorbar(
            changed.value,
            target.value,
            xerr=[[changed.value - changed.low], [changed.high - changed.value]],
            yerr=[[target.value - target.low], [target.high - target.value]],
            marker="os^D"[i // 10 % 4],
            markersize=5,
            linestyle="none",
            color=f"C{i % 10}",
            label=name,
        )
    axes.set_yscale("symlog", linthresh=0.01)
    widest = max(changed.high for _, _, changed in points)
    axes.set_xlim(left=-0.02 * widest)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def success_curves(generators: dict[str, Any]) -> list[str]:
    """Success of the gradient attack against ε (judged solid, naive dashed), and of gradient and
    random search against queries; intervals are shaded. `generators`: what `attack.json` says of
    each."""
    by_radius, axes = _axes("ε (the last point: all plausible latents)", "success, gradient attack")
    by_queries, others = _axes("pictures drawn", "naive success (dotted: random search)")
    for color, (name, attacks) in zip(cycle(COLORS), generators.items(), strict=False):
        points = attacks["gradient"]
        finite = [point["epsilon"] for point in points if point["epsilon"] is not None]
        far = (max(finite, default=0.0) or 1.0) * 1.5
        xs = [far if point["epsilon"] is None else point["epsilon"] for point in points]
        for key, style in (("judged", "-"), ("naive", "--")):
            ys = [point[key]["value"] for point in points]
            label = name if key == "judged" else None
            axes.plot(xs, ys, style, color=color, label=label, marker="o", markersize=3)
        low, high = ([point["judged"][key] for point in points] for key in ("low", "high"))
        axes.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
        for key, style in (("gradient", "-"), ("random", ":")):
            curve = attacks[f"{key}, queries"]
            xs, shares = [p["queries"] for p in curve], [interval(p["success"]) for p in curve]
            ys, low, high = ([share[end] for share in shares] for end in ("value", "low", "high"))
            others.plot(xs, ys, style, color=color, label=name if key == "gradient" else None)
            others.fill_between(xs, low, high, color=color, alpha=0.1, linewidth=0)
    others.set_xscale("log")
    for each in (axes, others):
        each.set_ylim(0, 1.02)
        each.legend(frameon=False, fontsize=8)
    return [_svg(by_radius), _svg(by_queries)]


def relearning_curves(generators: dict[str, Any]) -> str:
    """Target ratio against steps of relearning, a line for each generator and number of pictures.
    `generators`: what `attack.json` says of relearning."""
    figure, axes = _axes("steps of relearning", "target ratio")
    for color, (name, lessons) in zip(cycle(COLORS), generators.items(), strict=False):
        for style, row in zip(cycle(("-", "--", ":", "-.")), lessons, strict=False):
            title = f"{name}, {row['pictures']} pictures"
            ratios = [interval(ratio) for ratio in row["ratios"]]
            values, low, high = ([one[key] for one in ratios] for key in ("value", "low", "high"))
            axes.plot(row["steps"], values, style, color=color, label=title)
            axes.fill_between(row["steps"], low, high, color=color, alpha=0.1, linewidth=0)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def change_bars(changes: dict[str, Any]) -> str:
    """How often each attribute differs, the most changed first; solid where it became more or less
    frequent. `changes`: by attribute, `unfeature.evaluate.collateral.Change` as a dictionary."""
    rows = sorted(changes.items(), key=lambda item: item[1]["share"]["value"])
    figure, axes = _axes("share of pairs in which it differs", "")
    figure.set_size_inches(5.4, 0.7 + 0.22 * len(rows))
    for i, (_, row) in enumerate(rows):
        share = row["share"]
        spread = [[share["value"] - share["low"]], [share["high"] - share["value"]]]
        alpha = 1.0 if row["q"] <= 0.05 else 0.4
        axes.barh(i, share["value"], color=COLORS[0], alpha=alpha, height=0.7)
        axes.errorbar(share["value"], i, xerr=spread, color=INK, linewidth=1)
    axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name, _ in rows])
    axes.set_xlim(left=0)
    return _svg(figure)


def _axes(x: str, y: str) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8)
    return figure, axes


def _svg(figure: "Figure") -> str:
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "unfeature", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
