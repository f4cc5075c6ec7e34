"""What the charts show: axes, points and intervals, looked at before they become SVG."""

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure

from unfeature.report import comparison, plots
from unfeature.report.comparison import Row


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The charts drawn so far."""
    drawn: list[Figure] = []

    def svg(figure: Figure) -> str:
        drawn.append(figure)
        return "<svg"

    monkeypatch.setattr(plots, "_svg", svg)
    return drawn


def share(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.02}


def bars(figure: Figure, number: int) -> tuple[list[float], list[float]]:
    """Ends of the horizontal and of the vertical error bar of a point."""
    horizontal, vertical = figure.axes[0].containers[number].lines[2]
    (left, _), (right, _) = horizontal.get_segments()[0]
    (_, low), (_, high) = vertical.get_segments()[0]
    return [left, right], [low, high]


def test_methods_lie_at_what_is_left_and_what_else_changed(figures: list[Figure]) -> None:
    measured = ({"target": share(0.2), "l1": share(0.5)}, {"target": share(0.4), "l1": share(0.7)})
    several = Row("ours", measured, (), (), True, False, True)
    one = replace(several, name="paper", measured=measured[:1])
    unpaired = replace(one, name="oracle", measured=({"target": share(0.1), "l1": None},))
    points = comparison._points([several, one, unpaired], ("l1",))
    assert [name for name, _, _ in points] == ["ours", "paper"]
    plots.fronts(points, "L1")
    axes = figures[0].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("L1", "target ratio")
    xs, ys = axes.containers[0].lines[0].get_data()
    assert (list(xs), list(ys)) == (pytest.approx([0.6]), pytest.approx([0.3]))
    across, up = bars(figures[0], 0)  # all that the seeds' intervals span
    assert across == pytest.approx([0.45, 0.72])
    assert up == pytest.approx([0.15, 0.42])
    across, up = bars(figures[0], 1)
    assert across == pytest.approx([0.45, 0.52])
    assert up == pytest.approx([0.15, 0.22])


def test_differences_are_corrected_for_being_looked_at_together() -> None:
    def row(name: str, *p: float) -> Row:
        measured = ({"target": share(0.2), "l1": share(0.5)},)
        duels = [
            {"p_target": each, "target": share(0.1), "l1": None, "changed": None} for each in p
        ]
        costs = ({"seconds": 1.0, "megabytes": 1.0},)
        return Row(name, measured, tuple(duels), costs, True, False, True)

    said = comparison.standing([row("ours"), row("a", 0.01), row("b", 0.03), row("c", 0.4, 0.5)])
    assert "target ratio +10.00% (q = 0.02)" in said[0]  # 0.01 · 2 / 1
    assert "target ratio +10.00% (q = 0.03)" in said[1]  # 0.03 · 2 / 2
    assert "q =" not in said[2]  # of two seeds there is an interval
    assert "over 2 seeds" in said[2]


def test_what_lies_below_the_floor_is_said() -> None:
    def row(name: str, *left: float, paired: bool = True) -> Row:
        measured = tuple({"target": share(value), "l1": share(0.5)} for value in left)
        duel = {"p_target": float("nan"), "target": share(0.1), "l1": None, "changed": None}
        costs = ({"seconds": 1.0, "megabytes": 1.0},)
        duels = () if name == "ours" else (duel,)
        return Row(name, measured, duels, costs, paired, False, name != "filter")

    rows = [row("ours", 0.20), row("near", 0.215), row("filter", 0.19), row("far", 0.25)]
    assert not any("floor" in line for line in comparison.standing(rows))
    said = comparison.standing([*rows, row("oracle", 0.30, 0.32, paired=False)])
    below = [
        line.split()[3].rstrip(":") for line in said if "(target ratio: below the floor)" in line
    ]
    assert below == ["near", "filter"]
    assert "(q = nan)" in said[0]  # where there was one picture


def test_success_rises_over_radii_and_queries(figures: list[Figure]) -> None:
    def at(epsilon: float | None, judged: float) -> dict[str, Any]:
        return {"epsilon": epsilon, "judged": share(judged), "naive": share(judged + 0.1)}

    spent = [{"queries": 1, "success": share(0.1)}, {"queries": 20, "success": share(0.6)}]
    slower = [{"queries": 1, "success": 0.0}, {"queries": 20, "success": 0.2}]
    attacks = {"gradient": [at(1.0, 0.3), at(2.0, 0.5), at(None, 0.8)]}
    curves = {"gradient, queries": spent, "random, queries": slower}
    assert plots.success_curves({"original": {**attacks, **curves}}) == ["<svg", "<svg"]
    radii, queries = (figure.axes[0] for figure in figures)
    judged, naive = radii.get_lines()
    assert list(judged.get_xdata()) == [1.0, 2.0, 3.0]  # an infinite one beyond the last
    assert list(judged.get_ydata()) == [0.3, 0.5, 0.8]
    assert list(naive.get_ydata()) == pytest.approx([0.4, 0.6, 0.9])
    assert (judged.get_linestyle(), naive.get_linestyle()) == ("-", "--")
    around = radii.collections[0].get_paths()[0].vertices[:, 1]
    assert (around.min(), around.max()) == pytest.approx((0.25, 0.82))
    climbed, tried = queries.get_lines()
    assert list(climbed.get_ydata()) == [0.1, 0.6]
    assert (list(tried.get_ydata()), tried.get_linestyle()) == ([0.0, 0.2], ":")
    shaded, alone = (each.get_paths()[0].vertices[:, 1] for each in queries.collections)
    assert (shaded.min(), shaded.max()) == pytest.approx((0.05, 0.62))
    assert (alone.min(), alone.max()) == (0.0, 0.2)  # of a file without intervals


def test_the_most_changed_attribute_is_on_top(figures: list[Figure]) -> None:
    changes = {
        "grey_hair": {"share": share(0.1), "q": 0.5},
        "old": {"share": share(0.3), "q": 0.001},
    }
    plots.change_bars(changes)
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["grey hair", "old"]
    faint, solid = axes.patches
    assert (faint.get_width(), solid.get_width()) == (0.1, 0.3)
    assert (faint.get_alpha(), solid.get_alpha()) == (0.4, 1.0)
